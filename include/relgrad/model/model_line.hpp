#pragma once
/// A model in one line, as --model gives it and as `inspect` prints it:
///   3*(conv:3 spline:5) squeeze 2*(conv:3 spline:5) conv:3
/// Words are layers (registry.hpp: KIND[:NUMBER ...][:WORD ...]); N*WORD and N*(WORDS) repeat.
/// Names of whole models:
///   snf-conv                     the nine convolutions of Keller et al. 2021 (arXiv 2011.07248)
///   glow:LEVELSxSTEPS[:HIDDEN]   Glow (arXiv 1807.03039) as in that paper; HIDDEN 512 if left out
///   conv-coupling:LEVELSxSTEPS[:HIDDEN]   relgrad's own: a spectral layer, then per level a
///   squeeze
///       and STEPS times (circular 3 x 3 convolution, coupling, spline); HIDDEN 32 if left out
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "relgrad/model/registry.hpp"

namespace relgrad {

/// Numbers that a line leaves out, by kind and name, where they are not the registry's.
using LayerDefaults = std::map<std::string, std::map<std::string, double>>;

/// @throws UsageError "--model: at character 12: ..." naming the place, what stands there and what
///         may.
std::vector<LayerSpec> parse_model_line(std::string_view line, const LayerDefaults& defaults = {});

/// A line that parse_model_line() reads back to `layers`, but for learned inverses. Repetitions of
/// up to eight layers are written once.
std::string model_line(const std::vector<LayerSpec>& layers);
/// One layer as a model line has it.
std::string model_word(const LayerSpec& layer);

}  // namespace relgrad
