#include "relgrad/model/registry.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <functional>

#include "model/activation.hpp"
#include "model/actnorm_layer.hpp"
#include "model/convolution_layer.hpp"
#include "model/coupling_layer.hpp"
#include "model/spectral_layer.hpp"
#include "model/spline.hpp"
#include "model/squeeze_layer.hpp"
#include "relgrad/core/error.hpp"
#include "relgrad/model/linear.hpp"

namespace relgrad {

namespace {

double number_of(const LayerSpec& spec, const std::string& name) {
  const auto found = spec.settings.find(name);
  if (found != spec.settings.end()) return found->second;
  const auto syntax = std::ranges::find(layer_syntax(), spec.kind, &LayerSyntax::kind);
  const auto usual = std::ranges::find(syntax->numbers, name, &LayerNumber::name);
  return usual == syntax->numbers.end() ? 0 : usual->usual;
}

SampleShape same(const SampleShape& in) { return in; }
/// `each` operations per number of a sample.
auto per_number(double each) {
  return [each](const LayerSpec&, const SampleShape& in) {
    return each * static_cast<double>(in.size());
  };
}
/// 2 H W (9 C/2 hidden + hidden^2 + 9 hidden C), and the affine map.
double coupling_flops(const LayerSpec& spec, const SampleShape& in) {
  const auto c = static_cast<double>(in.channels);
  const double hidden = number_of(spec, "hidden");
  return 2.0 * static_cast<double>(in.area()) *
             (4.5 * c * hidden + hidden * hidden + 9.0 * hidden * c) +
         4.0 * static_cast<double>(in.size());
}

}  // namespace

const std::vector<LayerSyntax>& layer_syntax() {
  static const std::vector<LayerSyntax> rows = {
      {"linear",
       "a full D x D matrix and a bias",
       {},
       {},
       true,
       same,
       [](const LayerSpec&, const SampleShape& in) {
         return 2.0 * static_cast<double>(in.size()) * static_cast<double>(in.size());
       }},
      {"conv",
       "a convolution with as many channels out as in; K x K taps, K = 1, 3, 5 or 7",
       {{"taps", 3}},
       {{"zero", "circular", 0}, {"circular", "circular", 1}},
       true,
       same,
       [](const LayerSpec& spec, const SampleShape& in) {
         const double taps = number_of(spec, "taps");
         return 2.0 * static_cast<double>(in.size() * in.channels) * taps * taps;
       }},
      {"spectral",
       "a C x C matrix at every frequency of the cosine transform, and back to positions",
       {},
       {{"positions", "frequencies", 0}, {"frequencies", "frequencies", 1}},
       false,
       same,
       [](const LayerSpec& spec, const SampleShape& in) {
         const double transforms = number_of(spec, "frequencies") != 0 ? 1 : 2;
         return static_cast<double>(in.size()) *
                (2.0 * static_cast<double>(in.channels) +
                 transforms * 2.5 * std::log2(static_cast<double>(in.area())));
       }},
      {"spline",
       "monotone rational-quadratic splines of BINS bins on [-BOUND, BOUND], one per pixel and "
       "channel, per channel, or per channel and ring of frequencies",
       {{"bins", 12}, {"bound", 6}},
       {{"pixel", "shared", 0}, {"channel", "shared", 1}, {"ring", "shared", 2}},
       false,
       same,
       per_number(40)},
      {"smooth-leaky-relu",
       "a y + (1-a) log(1+e^y)",
       {{"slope", 0.3}},
       {},
       false,
       same,
       per_number(30)},
      {"leaky-tanh",
       "tanh(a y) + c y",
       {{"scale", 1}, {"slope", 0.3}},
       {},
       false,
       same,
       per_number(30)},
      {"actnorm",
       "a scale and a shift per channel, from the first batch",
       {},
       {},
       false,
       same,
       per_number(2)},
      {"squeeze",
       "2 x 2 positions become 4 channels",
       {},
       {},
       false,
       [](const SampleShape& in) {
         return SampleShape{4 * in.channels, in.height / 2, in.width / 2};
       },
       per_number(0)},
      {"coupling",
       "an affine coupling; HIDDEN channels inside its net",
       {{"hidden", 64}},
       {},
       false,
       same,
       coupling_flops},
      {"split",
       "half of the channels leave; mean and scale of their density by a net of HIDDEN channels",
       {{"hidden", 64}},
       {},
       false,
       [](const SampleShape& in) {
         return SampleShape{in.channels / 2, in.height, in.width};
       },
       coupling_flops},
  };
  return rows;
}

namespace {

template <class T>
struct Context {
  const LayerSpec& spec;
  const LayerPlace<T>& place;
  const std::string& prefix;
  Range own;  // coordinates of this rank

  double number(const std::string& name) const { return number_of(spec, name); }
  Index whole_number(const std::string& name) const {
    const double value = number(name);
    if (!(value >= 1 && value <= 1e6 && value == static_cast<double>(static_cast<Index>(value)))) {
      throw UsageError(fmt::format("{} ({}): {} is {}, must be a whole number of at least 1",
                                   prefix, spec.kind, name, value));
    }
    return static_cast<Index>(value);
  }
  bool is_on(const std::string& name) const { return number(name) != 0; }
};

template <class T>
using Maker = std::function<std::unique_ptr<Layer<T>>(const Context<T>&)>;

// One line per kind of layer.
template <class T>
const std::map<std::string, Maker<T>>& makers() {
  using Made = std::unique_ptr<Layer<T>>;
  static const std::map<std::string, Maker<T>> table = {
      {"linear",
       [](const Context<T>& c) -> Made {
         return std::make_unique<LinearLayer<T>>(c.place.store, c.place.products, c.prefix,
                                                 c.place.shape, c.place.row_group,
                                                 c.is_on("inverse"));
       }},
      {"conv",
       [](const Context<T>& c) -> Made {
         return std::make_unique<ConvolutionLayer<T>>(
             c.place.store, c.place.products, c.prefix, c.place.shape, c.whole_number("taps"),
             c.is_on("circular") ? Padding::circular : Padding::zero, c.is_on("inverse"));
       }},
      {"spectral",
       [](const Context<T>& c) -> Made {
         return std::make_unique<SpectralLayer<T>>(
             c.place.store, c.prefix, c.place.shape,
             c.is_on("frequencies") ? SpectralOutput::frequencies : SpectralOutput::positions);
       }},
      {"spline",
       [](const Context<T>& c) -> Made {
         return std::make_unique<SplineLayer<T>>(
             c.place.store, c.prefix, c.place.shape, c.own, c.whole_number("bins"),
             c.number("bound"), static_cast<SplineSharing>(static_cast<int>(c.number("shared"))));
       }},
      {"smooth-leaky-relu",
       [](const Context<T>& c) -> Made {
         return std::make_unique<SmoothLeakyRelu<T>>(c.place.shape, c.own.size(),
                                                     c.number("slope"));
       }},
      {"leaky-tanh",
       [](const Context<T>& c) -> Made {
         return std::make_unique<LeakyTanh<T>>(c.place.shape, c.own.size(), c.number("scale"),
                                               c.number("slope"));
       }},
      {"actnorm",
       [](const Context<T>& c) -> Made {
         return std::make_unique<ActnormLayer<T>>(c.place.store, c.prefix, c.place.shape);
       }},
      {"squeeze",
       [](const Context<T>& c) -> Made {
         return std::make_unique<SqueezeLayer<T>>(c.prefix, c.place.shape);
       }},
      {"coupling",
       [](const Context<T>& c) -> Made {
         return std::make_unique<CouplingLayer<T>>(c.place.store, c.place.products, c.prefix,
                                                   c.place.shape, c.whole_number("hidden"),
                                                   SecondHalf::stays, c.place.latent);
       }},
      {"split",
       [](const Context<T>& c) -> Made {
         return std::make_unique<CouplingLayer<T>>(c.place.store, c.place.products, c.prefix,
                                                   c.place.shape, c.whole_number("hidden"),
                                                   SecondHalf::leaves, c.place.latent);
       }},
  };
  return table;
}

}  // namespace

std::vector<std::string> layer_kinds() {
  std::vector<std::string> kinds;
  for (const LayerSyntax& row : layer_syntax()) kinds.push_back(row.kind);
  return kinds;
}

template <class T>
std::unique_ptr<Layer<T>> make_layer(const LayerSpec& spec, const LayerPlace<T>& place,
                                     const std::string& prefix) {
  const auto found = makers<T>().find(spec.kind);
  if (found == makers<T>().end()) {
    throw UsageError(fmt::format("{}: there is no layer '{}'; the kinds are {}", prefix, spec.kind,
                                 fmt::join(layer_kinds(), ", ")));
  }
  const Index size = place.shape.size();
  const Range own = place.row_group == nullptr ? Range{0, size} : place.row_group->own(size);
  return found->second({spec, place, prefix, own});
}

template std::unique_ptr<Layer<float>> make_layer(const LayerSpec&, const LayerPlace<float>&,
                                                  const std::string&);
template std::unique_ptr<Layer<double>> make_layer(const LayerSpec&, const LayerPlace<double>&,
                                                   const std::string&);

}  // namespace relgrad
