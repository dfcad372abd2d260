"""The full linear layer, y = W x + b with a D x D matrix W."""
from __future__ import annotations

from .base import Layer, Pass


class Linear(Layer):
    """Samples of any shape, flattened."""

    def forward(self, x):
        y = x.reshape(len(x), -1) @ self.tensors["W"] + self.tensors["b"].reshape(-1)
        return Pass(y.reshape(x.shape))

    def inverse(self, output, latent, learned):
        ops = self.ops
        z = output.reshape(len(output), -1) - self.tensors["b"].reshape(-1)
        if learned and "R-transposed" in self.tensors:
            # x = R z, and the tensor holds R^T by columns, which is R by rows
            return (z @ self.tensors["R-transposed"].T).reshape(output.shape)
        # x^T = z^T W^{-T}
        x = ops.solve(ops.double(self.tensors["W"]).T, ops.double(z).T).T
        return ops.array(x).reshape(output.shape)

    def log_abs_det(self):
        return self.ops.log_abs_det(self.ops.double(self.tensors["W"]))
