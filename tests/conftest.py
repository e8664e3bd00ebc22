"""One thread per process: the tests are small, and many processes run side by side."""

import torch

torch.set_num_threads(1)
