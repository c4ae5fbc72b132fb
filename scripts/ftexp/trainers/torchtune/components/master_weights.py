"""The optimizer component for full fine-tunes in bf16, under the path that configs of torchtune's name."""

from ftexp.trainers import master_weights


class AdamW(master_weights.AdamW):
    """See `ftexp.trainers.master_weights`."""
