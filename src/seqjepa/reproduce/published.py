"""The numbers of the paper (Ghaemi, Muller, Bakhtiari, NeurIPS 2025, arXiv 2505.03176).

Accuracies are in per cent. What is read off a figure's vector graphics is so to about 0.003, of
figure 6 to 0.01. Heat maps have a row for each number of views observed in the test, M_val = 1 to
8, and a column for each in training.
"""

from collections.abc import Mapping

Numbers = Mapping[str, tuple[float, ...]]

# Table 1, 3DIEBench, conditioned on rotation: top-1, R2 of relative and of individual rotation.
TABLE1: Numbers = {
    "BYOL": (82.90, 0.12, 0.25),
    "SimCLR": (81.13, 0.35, 0.54),
    "VICReg": (80.48, 0.20, 0.36),
    "VICReg-Traj": (81.26, 0.27, 0.43),
    "SEN": (83.43, 0.35, 0.57),
    "EquiMod": (84.29, 0.32, 0.55),
    "SIE": (77.49, 0.58, 0.62),
    "Conditional BYOL": (82.61, 0.31, 0.47),
    "ContextSSL, c = 126": (80.40, 0.74, 0.78),
    "seq-JEPA (1, 1)": (84.08, 0.65, 0.69),
    "seq-JEPA (1, 3)": (85.31, 0.65, 0.69),
    "seq-JEPA (3, 3)": (86.14, 0.71, 0.74),
    "seq-JEPA (3, 5)": (87.41, 0.71, 0.74),
    "seq-JEPA without actions (3, 3)": (86.05, 0.29, 0.37),
}

# Table 2: top-1, R2 of crop, jitter and blur on CIFAR-100, then the same on Tiny ImageNet. Rows are
# by the conditioning (none, all three, or one) and the method; of seq-JEPA with M_train.
TABLE2: Mapping[tuple[str, str], tuple[float, ...]] = {
    ("–", "SimCLR"): (61.72, 0.56, 0.18, 0.04, 34.29, 0.30, 0.08, 0.13),
    ("–", "BYOL"): (62.17, 0.39, 0.05, -0.01, 35.70, 0.17, 0.01, 0.16),
    ("–", "VICReg"): (61.35, 0.49, 0.11, -0.06, 35.29, 0.31, 0.05, 0.19),
    ("–", "VICReg-Traj"): (61.07, 0.46, 0.14, 0.02, 34.95, 0.28, 0.09, 0.16),
    ("all", "SEN"): (61.94, 0.65, 0.51, 0.85, 36.01, 0.24, 0.48, 0.87),
    ("all", "EquiMod"): (61.80, 0.59, 0.49, 0.74, 36.75, 0.38, 0.46, 0.86),
    ("all", "SIE"): (58.81, 0.34, 0.26, 0.53, 31.37, 0.26, 0.56, 0.88),
    ("all", "Conditional BYOL"): (60.63, 0.56, 0.46, 0.73, 35.49, 0.34, 0.54, 0.87),
    ("crop", "SEN"): (61.56, 0.66, 0.15, 0.10, 35.95, 0.24, 0.11, 0.49),
    ("crop", "EquiMod"): (61.77, 0.62, 0.15, 0.01, 36.83, 0.26, 0.12, 0.30),
    ("crop", "SIE"): (57.55, 0.69, 0.11, 0.25, 32.38, 0.34, 0.05, 0.14),
    ("crop", "Conditional BYOL"): (60.17, 0.55, 0.10, -0.01, 37.07, 0.22, 0.01, 0.24),
    ("jitter", "SEN"): (61.78, 0.50, 0.52, 0.02, 36.59, 0.26, 0.50, 0.21),
    ("jitter", "EquiMod"): (61.53, 0.44, 0.50, -0.02, 37.18, 0.20, 0.52, 0.29),
    ("jitter", "SIE"): (59.29, 0.48, 0.59, 0.06, 34.37, 0.39, 0.62, 0.35),
    ("jitter", "Conditional BYOL"): (61.30, 0.36, 0.52, 0.02, 37.93, 0.24, 0.62, 0.30),
    ("blur", "SEN"): (61.47, 0.43, 0.15, 0.84, 34.62, 0.16, 0.08, 0.79),
    ("blur", "EquiMod"): (62.72, 0.41, 0.15, 0.74, 36.12, 0.24, 0.10, 0.91),
    ("blur", "SIE"): (57.66, 0.40, 0.07, 0.71, 31.00, 0.26, 0.05, 0.85),
    ("blur", "Conditional BYOL"): (60.74, 0.36, 0.11, 0.69, 36.17, 0.19, 0.02, 0.85),
    ("all", "seq-JEPA, M 1"): (52.90, 0.77, 0.52, 0.23, 37.10, 0.64, 0.49, 0.89),
    ("all", "seq-JEPA, M 2"): (60.17, 0.78, 0.64, 0.88, 35.56, 0.69, 0.42, 0.93),
    ("all", "seq-JEPA, M 3"): (58.33, 0.79, 0.63, 0.92, 34.85, 0.67, 0.64, 0.96),
    ("crop", "seq-JEPA, M 2"): (59.32, 0.78, 0.01, 0.10, 35.74, 0.70, 0.12, 0.46),
    ("jitter", "seq-JEPA, M 3"): (58.62, 0.68, 0.68, 0.29, 35.21, 0.60, 0.66, 0.62),
    ("blur", "seq-JEPA, M 3"): (56.82, 0.71, 0.15, 0.74, 35.79, 0.58, 0.22, 0.97),
    ("none", "seq-JEPA, M 2"): (58.37, 0.64, 0.14, 0.16, 35.97, 0.52, 0.18, 0.47),
}

# Table 3, STL-10, saccades: top-1, R2 of relative position.
TABLE3: Numbers = {
    "SimCLR, whole images with augmentations": (85.23, -0.06),
    "Conv-JEPA, M 4": (80.04, 0.80),
    "seq-JEPA without actions": (70.45, 0.38),
    "seq-JEPA": (83.44, 0.80),
    "seq-JEPA, M_val 6": (84.12, 0.80),
    "seq-JEPA without saliency and inhibition": (79.85, 0.88),
    "seq-JEPA without inhibition of return": (77.97, 0.85),
}

# Table 4, 3DIEBench, M_train 3 and M_val 5, mean and spread of 3 seeds: top-1, R2 of relative
# rotation.
TABLE4: Mapping[str, tuple[tuple[float, float], ...]] = {
    "no actions": ((87.36, 0.7), (0.29, 0.04)),
    "not in the predictor": ((87.17, 0.3), (0.37, 0.06)),
    "not in the aggregator": ((86.33, 0.1), (0.53, 0.05)),
    "action width 16": ((86.29, 0.4), (0.70, 0.01)),
    "action width 64": ((87.11, 0.2), (0.70, 0.02)),
    "action width 128": ((87.41, 0.5), (0.71, 0.02)),
    "action width 256": ((87.26, 0.6), (0.72, 0.00)),
}

# Table 5, hours on an A100: 3DIEBench at 128 px, 1,000 epochs, batch 512.
TABLE5: Mapping[str, float] = {
    "SimCLR": 11.4,
    "BYOL": 11.1,
    "SIE": 12.0,
    "VICReg": 10.9,
    "EquiMod": 11.8,
    "seq-JEPA, M 1": 12.3,
    "seq-JEPA, M 3": 15.1,
}

# Table 6, GFLOPs (a multiply-add is one) by the side of a view in pixels: of the encoder on one
# view, then of encoder and aggregator on sequences of 1, 2, 3, 4 and 8 views.
TABLE6: Mapping[int, tuple[float, ...]] = {
    128: (0.60, 0.63, 1.24, 1.85, 2.46, 4.9),
    64: (0.15, 0.18, 0.34, 0.51, 0.67, 1.32),
    84: (0.30, 0.33, 0.64, 0.95, 1.26, 2.51),
}

# Table 7, 3DIEBench, conditioned on rotation and colour: top-1, R2 of rotation and of colour.
TABLE7: Numbers = {
    "SEN": (82.17, 0.29, 0.96),
    "EquiMod": (82.58, 0.27, 0.95),
    "Conditional BYOL": (81.95, 0.38, 0.94),
    "SIE": (75.34, 0.46, 0.97),
    "seq-JEPA (4, 5)": (79.31, 0.52, 0.97),
}

# Table 8, 3DIEBench, transformer projectors: top-1, R2 of relative and of individual rotation.
TABLE8: Numbers = {
    "SimCLR+": (77.92, 0.32, 0.48),
    "BYOL+": (81.05, 0.09, 0.16),
    "VICReg+": (75.1, 0.15, 0.28),
    "VICReg-Traj+": (77.82, 0.24, 0.36),
    "SEN+": (81.74, 0.31, 0.44),
    "Conditional BYOL+": (73.62, 0.27, 0.36),
}

# Table 9, 3DIEBench-OOD: top-1, its change from the test split, R2 of relative and of individual
# rotation.
TABLE9: Numbers = {
    "SimCLR": (63.86, -17.27, -0.41, -0.201),
    "BYOL": (55.68, -27.22, -0.25, -0.198),
    "VICReg": (61.28, -19.20, -0.31, -0.206),
    "SEN": (60.03, -23.40, -0.41, -0.201),
    "SIE": (60.19, -17.30, -0.63, -0.2),
    "EquiMod": (58.54, -25.75, -0.45, -0.206),
    "Conditional BYOL": (57.91, -24.70, -0.42, -0.202),
    "VICReg-Traj": (62.94, -18.32, -0.36, -0.214),
    "seq-JEPA (1, 1)": (61.53, -22.55, -0.69, -0.199),
    "seq-JEPA (3, 3)": (65.03, -21.11, -0.71, -0.211),
}

# Table 10, 3DIEBench, retrieval by the predictor on val: MRR, H@1, H@5.
TABLE10: Numbers = {
    "SIE": (0.319, 0.215, 0.404),
    "EquiMod": (0.136, 0.037, 0.186),
    "seq-JEPA (1, 1)": (0.340, 0.241, 0.442),
    "seq-JEPA (3, 3)": (0.388, 0.273, 0.468),
}

# Table 11, 3DIEBench at 256 px, 2,000 epochs, batch 1,024: top-1, R2 of relative and individual
# rotation, MRR, H@1, H@5; SimCLR has no predictor.
TABLE11: Numbers = {
    "SIE": (82.652, 0.721, 0.764, 0.411, 0.287, 0.490),
    "SimCLR": (85.961, 0.473, 0.609),
    "EquiMod": (86.833, 0.492, 0.625, 0.154, 0.048, 0.201),
    "seq-JEPA (1, 1)": (85.37, 0.661, 0.713, 0.365, 0.263, 0.447),
    "seq-JEPA (3, 3)": (87.581, 0.736, 0.781, 0.419, 0.282, 0.483),
}

# Table 12: top-1 of z ("z_res"), and of z_AGG for M_val 1, 3 and 5, by data set, conditioning and
# M_train.
TABLE12: Mapping[tuple[str, str, int], tuple[float, ...]] = {
    ("3DIEBench", "none", 3): (80.91, 81.61, 86.05, 87.36),
    ("3DIEBench", "rotation", 1): (84.88, 84.08, 85.34, 85.31),
    ("3DIEBench", "rotation", 3): (82.49, 81.72, 85.32, 87.41),
    ("3DIEBench", "rotation and colour", 4): (74.88, 71.14, 75.97, 79.31),
    ("CIFAR-100", "none", 2): (53.00, 51.60, 57.05, 58.37),
    ("CIFAR-100", "all", 1): (56.23, 54.24, 52.90, 52.92),
    ("CIFAR-100", "all", 2): (52.07, 53.07, 59.34, 60.35),
    ("CIFAR-100", "all", 3): (46.31, 49.48, 57.60, 58.33),
    ("CIFAR-100", "crop", 2): (52.62, 52.06, 58.07, 59.32),
    ("CIFAR-100", "jitter", 3): (54.92, 50.21, 57.20, 58.62),
    ("CIFAR-100", "blur", 3): (51.41, 48.69, 55.54, 56.72),
    ("Tiny ImageNet", "none", 2): (32.84, 30.48, 35.03, 35.97),
    ("Tiny ImageNet", "all", 1): (33.03, 32.34, 36.14, 37.07),
    ("Tiny ImageNet", "all", 2): (27.20, 30.57, 34.99, 35.56),
    ("Tiny ImageNet", "all", 3): (24.74, 28.84, 33.78, 34.68),
    ("Tiny ImageNet", "crop", 2): (31.13, 30.89, 35.07, 35.69),
    ("Tiny ImageNet", "jitter", 3): (31.85, 29.05, 34.27, 35.21),
    ("Tiny ImageNet", "blur", 3): (27.20, 28.83, 34.82, 35.79),
    ("STL-10", "none", 4): (61.38, 62.21, 69.06, 70.45),
    ("STL-10", "position", 4): (81.20, 71.45, 81.53, 83.44),
    ("STL-10", "position, no saliency", 4): (79.29, 63.14, 76.93, 79.85),
    ("STL-10", "position, no inhibition", 4): (72.49, 68.95, 76.84, 77.97),
}

# Figure 6, R2 of path integration for M_val 1 to 7: a, visual (STL-10); b, angular (3DIEBench).
FIGURE6: Mapping[tuple[str, str], tuple[float, ...]] = {
    ("visual", "whole"): (1.00, 0.97, 0.93, 0.89, 0.88, 0.855, 0.867),
    ("visual", "no actions"): (0.04, 0.02, -0.02, 0.01, 0.01, 0.00, 0.02),
    ("visual", "no vision"): (1.00, 0.98, 0.93, 0.87, 0.83, 0.765, 0.785),
    ("angular", "whole"): (1.00, 0.85, 0.46, 0.38, 0.34, 0.32, 0.285),
    ("angular", "no actions"): (0.18, 0.06, 0.045, 0.03, 0.03, 0.03, 0.03),
    ("angular", "no vision"): (1.00, 0.27, 0.21, 0.18, 0.15, 0.145, 0.14),
}

# Figure 7, left and middle: by M_train from 1 on. R2, then top-1 of z_AGG of five views.
FIGURE7_R2: Numbers = {
    "3DIEBench, rotation": (0.650, 0.701, 0.706, 0.711, 0.717),
    "STL-10, position": (0.654, 0.789, 0.794, 0.802, 0.785),
    "Tiny ImageNet, crop": (0.640, 0.694, 0.659, 0.671),
    "Tiny ImageNet, jitter": (0.486, 0.420, 0.639, 0.647),
    "Tiny ImageNet, blur": (0.885, 0.934, 0.959, 0.969),
}
FIGURE7_TRAIN: Numbers = {
    "3DIEBench": (84.51, 86.67, 87.41, 87.55, 87.32),
    "STL-10": (68.83, 80.95, 82.92, 83.44, 83.75),
    "CIFAR-100": (52.92, 60.35, 58.33, 56.92),
    "Tiny ImageNet": (37.10, 35.56, 34.68, 34.85),
}
# Right: top-1 by M_val, 1 to 8; M_train is 3 for 3DIEBench, 4 for STL-10, else 2.
FIGURE7_TEST: Numbers = {
    "3DIEBench": (81.72, 84.92, 86.14, 86.87, 87.41, 87.23, 87.48, 87.51),
    "STL-10": (71.45, 78.95, 81.53, 82.86, 83.44, 84.12, 84.21, 84.48),
    "CIFAR-100": (53.07, 58.01, 59.34, 59.96, 60.35, 60.42, 60.63, 60.57),
    "Tiny ImageNet": (30.57, 33.88, 34.99, 35.44, 35.56, 35.68, 36.06, 36.22),
}

# Figure 8, 3DIEBench, rotation: top-1 of z_AGG, M_train 1 to 5.
FIGURE8 = (
    (84.1, 81.2, 81.7, 82.0, 82.0),
    (85.0, 84.9, 84.9, 85.3, 85.2),
    (85.3, 85.4, 85.3, 86.1, 86.3),
    (85.3, 86.7, 86.1, 87.2, 87.1),
    (85.5, 87.0, 87.4, 87.5, 87.3),
    (85.2, 86.8, 87.2, 87.6, 87.6),
    (85.8, 86.9, 87.5, 87.5, 87.5),
    (85.6, 86.9, 87.5, 87.6, 87.7),
)

# Figure 9, STL-10, position: top-1 of z_AGG, M_train 1 to 5.
FIGURE9 = (
    (64.7, 72.6, 72.7, 71.5, 70.7),
    (66.9, 78.0, 79.7, 79.0, 79.4),
    (68.0, 79.3, 81.3, 81.5, 82.1),
    (68.4, 80.1, 82.7, 82.9, 82.9),
    (68.8, 81.1, 83.0, 83.4, 83.6),
    (68.8, 81.0, 83.4, 84.1, 84.2),
    (68.4, 81.3, 83.6, 84.2, 84.7),
    (68.3, 81.3, 83.9, 84.5, 85.2),
)

# Figure 10, CIFAR-100: top-1 of z_AGG; conditioned on all with M_train 1 to 4, then on crop,
# jitter and blur with 2 and 3 each.
FIGURE10 = (
    (54.2, 53.1, 49.5, 47.8, 52.1, 49.0, 52.3, 50.2, 51.9, 48.7),
    (53.8, 58.0, 55.3, 54.1, 57.3, 54.0, 57.3, 55.5, 56.2, 53.8),
    (52.9, 59.3, 57.6, 55.6, 58.1, 55.9, 58.6, 57.2, 57.8, 55.5),
    (53.3, 60.0, 58.0, 56.2, 58.9, 56.5, 59.1, 58.0, 58.1, 56.1),
    (52.9, 60.4, 58.3, 56.9, 59.3, 57.0, 59.5, 58.6, 58.2, 56.7),
    (52.8, 60.4, 58.9, 57.1, 59.5, 57.4, 60.1, 59.0, 58.7, 56.7),
    (53.1, 60.6, 59.2, 57.3, 59.6, 57.7, 59.8, 59.3, 58.7, 56.8),
    (52.7, 60.6, 59.5, 57.8, 59.8, 57.6, 60.2, 59.2, 58.8, 56.9),
)

# Figure 11, Tiny ImageNet, as figure 10.
FIGURE11 = (
    (32.3, 30.6, 28.8, 27.7, 30.9, 28.4, 30.6, 29.1, 30.1, 28.8),
    (35.4, 33.9, 32.8, 32.9, 34.7, 32.6, 34.4, 33.5, 33.7, 33.8),
    (36.1, 35.0, 33.8, 33.9, 35.1, 33.6, 35.2, 34.3, 34.9, 34.8),
    (37.1, 35.4, 34.2, 35.0, 35.6, 34.2, 35.7, 34.9, 35.2, 35.2),
    (37.1, 35.6, 34.7, 34.9, 35.7, 34.2, 35.8, 35.2, 35.8, 35.8),
    (37.1, 35.7, 35.0, 35.5, 36.1, 34.9, 36.5, 35.2, 35.6, 35.9),
    (37.2, 36.1, 35.3, 35.3, 36.4, 35.0, 36.6, 35.8, 36.0, 36.0),
    (37.2, 36.2, 35.1, 35.5, 36.5, 35.4, 36.3, 35.2, 35.9, 36.2),
)

# Figure 15, transfer from STL-10 to ImageNet-1k: top-1 for M_val 1 to 8, by the patch's side.
FIGURE15: Mapping[int, tuple[float, ...]] = {
    32: (5.95, 9.68, 12.16, 13.87, 15.34, 16.29, 17.48, 18.35),
    84: (10.70, 16.64, 19.35, 20.19, 21.37, 22.53, 22.79, 22.98),
}
