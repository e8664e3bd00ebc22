"""The spectral contrastive loss as a method of seqjepa."""
