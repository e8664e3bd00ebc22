"""World models in use: trained models that imagine views, infer actions, plan and draw."""
