"""Pictures of objects in one scene."""
