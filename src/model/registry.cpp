#include "relgrad/model/registry.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <functional>

#include "relgrad/core/error.hpp"
#include "relgrad/model/activation.hpp"
#include "relgrad/model/linear.hpp"
#include "relgrad/model/spline.hpp"

namespace relgrad {

namespace {

template <class T>
struct Context {
  const LayerSpec& spec;
  const LayerPlace<T>& place;
  const std::string& prefix;
  Range own;  // coordinates of this rank

  double setting(const std::string& name) const {
    const auto found = spec.settings.find(name);
    if (found == spec.settings.end()) {
      throw UsageError(fmt::format("{} ({}): setting '{}' is missing", prefix, spec.kind, name));
    }
    return found->second;
  }
};

template <class T>
using Maker = std::function<std::unique_ptr<Layer<T>>(const Context<T>&)>;

// One line per kind of layer.
template <class T>
const std::map<std::string, Maker<T>>& makers() {
  static const std::map<std::string, Maker<T>> table = {
      {"linear",
       [](const Context<T>& c) {
         return std::make_unique<LinearLayer<T>>(c.place.store, c.place.products, c.prefix,
                                                 c.place.shape, c.place.row_group,
                                                 c.spec.settings.contains("inverse"));
       }},
      {"smooth-leaky-relu",
       [](const Context<T>& c) {
         return std::make_unique<SmoothLeakyRelu<T>>(c.place.shape, c.own.size(),
                                                     c.setting("slope"));
       }},
      {"leaky-tanh",
       [](const Context<T>& c) {
         return std::make_unique<LeakyTanh<T>>(c.place.shape, c.own.size(), c.setting("scale"),
                                               c.setting("slope"));
       }},
      {"spline",
       [](const Context<T>& c) {
         return std::make_unique<SplineLayer<T>>(c.place.store, c.prefix, c.place.shape, c.own,
                                                 static_cast<Index>(c.setting("bins")),
                                                 c.setting("bound"));
       }},
  };
  return table;
}

}  // namespace

std::vector<std::string> layer_kinds() {
  std::vector<std::string> kinds;
  for (const auto& [kind, maker] : makers<double>()) kinds.push_back(kind);
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
