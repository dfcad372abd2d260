"""Published figures, in the unit they were published in, and what differs from ours."""

# name, pixel nats, bits/dim, logit-space nats (test), time, what differs from ours
GRESELE = "Gresele et al. 2020"
KELLER = "Keller et al. 2021"
MNIST = [
    (f"{GRESELE}: 2 dense layers, relative gradient", -1102.5, 2.03, -1375.2, "8 ms per batch of 10",
     "published in logit-space nats; noise drawn once; batches of 10"),
    (f"{KELLER}: the same, trained longer", -1096.5, 2.018, -1369.2, "7.0 ms per batch of 100 (GTX 1080 Ti)",
     "slope 0.3, three seeds"),
    (f"{KELLER}: 2 dense layers, exact gradient", -947.6, 1.744, -1220.3, "37.5 h, 6000 epochs", "three seeds"),
    (f"{KELLER}: 2 dense layers, self-normalizing", -947.1, 1.743, -1219.8, "15.5 h, 6000 epochs",
     "reconstruction weight 1, three seeds"),
    (f"{KELLER}: 9 convolutional layers, self-normalizing", -638.6, 1.175, -911.3, "212 ms per batch of 100",
     "convolutions, splines; not dense"),
    (f"{KELLER}: Glow, 32 steps, self-normalizing", -575.4, 1.059, -848.1, "476 ms per batch of 100",
     "coupling layers; not dense"),
    ("Papamakarios et al. 2017: MAF, 5 layers", None, 1.89, -1300.5, None, "autoregressive"),
    ("Papamakarios et al. 2017: Real NVP, 5 layers", None, 1.93, -1323.2, None, "coupling layers"),
]
# The dense figure of exact gradients: what "seconds to" is counted to.
EXACT_DENSE_PIXEL_NATS = -947.6
BEYOND_MARGINALS_PIXEL_NATS = -800.0

# Test log-likelihood, nats, on the preprocessing of Papamakarios et al. 2017.
TABULAR = {  # name: (dimension, Gaussian, Gresele et al. 2020, MAF (5), RQ-NSF (AR))
    "power": (6, -7.74, 0.065, 0.14, 0.66),
    "gas": (8, -3.58, 6.978, 9.07, 13.09),
    "hepmass": (21, -27.93, -21.958, -17.70, -14.01),
    "miniboone": (43, -37.24, -13.372, -11.75, -9.22),
    "bsds300": (63, 96.67, 151.12, 155.69, 157.31),
}
SOURCES = """Published figures: Gresele, Fissore, Javaloy, Schölkopf, Hyvärinen, NeurIPS 2020 (arXiv
[2006.15090](https://arxiv.org/abs/2006.15090)); Keller, Peters, Jaini, Hoogeboom, Forré, Welling, ICML 2021 (arXiv
[2011.07248](https://arxiv.org/abs/2011.07248)); Papamakarios, Pavlakou, Murray, NeurIPS 2017 (arXiv
[1705.07057](https://arxiv.org/abs/1705.07057)); Durkan, Bekasov, Murray, Papamakarios, NeurIPS 2019 (arXiv
[1906.04032](https://arxiv.org/abs/1906.04032)). Each was published in one unit; the others are converted by the
log-slope of the logit map on MNIST's test split, +272.5 nats."""
