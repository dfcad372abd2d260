#pragma once
/// How many floating-point operations a flow takes, from what its layers say of themselves
/// (registry.hpp). Multiplications and additions are counted singly.
#include "relgrad/model/flow.hpp"

namespace relgrad {

/// f(x) of one sample.
double forward_operations(const FlowSpec& flow);

/// f^{-1} of `samples` samples, exactly. Linear: once an LU of W, 2/3 D^3. Convolution: at most
/// once the LU of a banded matrix, 2 D (C W)^2. All others undo a sample like they do it.
double inverse_operations(const FlowSpec& flow, Index samples);

}  // namespace relgrad
