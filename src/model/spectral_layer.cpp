#include "model/spectral_layer.hpp"

#include <utility>

#include "spectral/moments.hpp"

namespace relgrad {

namespace {

template <class T>
class SpectralStart final : public DataStart<T> {
 public:
  SpectralStart(const SampleShape& shape, std::string where, SpectralSpans<T> parameters)
      : moments_(shape.channels, shape.height, shape.width),
        where_(std::move(where)),
        parameters_(parameters) {}
  void add(const ConstMatrixMap<T>& batch) override { moments_.add(batch); }
  std::span<double> sums() override { return moments_.sums(); }
  void finish() override { moments_.start(where_.c_str(), parameters_); }

 private:
  SpectralMoments<T> moments_;
  std::string where_;
  SpectralSpans<T> parameters_;
};

}  // namespace

template <class T>
SpectralLayer<T>::SpectralLayer(ParameterStore<T>& store, const std::string& prefix,
                                const SampleShape& shape, SpectralOutput output)
    : store_(&store),
      prefix_(prefix),
      shape_(shape),
      map_(shape.channels, shape.height, shape.width, output),
      weight_id_(store.add(prefix + "/K", {.decays = true}, shape.area(),
                           shape.channels * shape.channels)),
      bias_id_(store.add(prefix + "/b", {}, shape.area(), shape.channels)) {}

template <class T>
SpectralSpans<const T> SpectralLayer<T>::parameters() const {
  return {std::as_const(*store_).values(weight_id_), std::as_const(*store_).values(bias_id_)};
}

template <class T>
void SpectralLayer<T>::initialize(const LayerStart& /*start*/) {
  map_.initialize({store_->values(weight_id_), store_->values(bias_id_)});
}

template <class T>
void SpectralLayer<T>::forward(LayerPass<T> pass) const {
  map_.forward(parameters(), pass.input, pass.output,
               std::span<T>(pass.kept.data(), static_cast<std::size_t>(pass.kept.size())));
}

template <class T>
void SpectralLayer<T>::inverse(const ConstMatrixMap<T>& output, const ConstMatrixMap<T>& /*latent*/,
                               MatrixMap<T> input, InverseKind /*kind*/) const {
  map_.inverse(prefix_.c_str(), parameters(), output, input);
}

template <class T>
void SpectralLayer<T>::backward(LayerPass<T> pass, LayerDelta<T> delta,
                                GradientSink<T>& sink) const {
  const ConstMatrixMap<T> output(pass.output.data(), pass.output.rows(), pass.output.cols());
  const ConstMatrixMap<T> delta_output(delta.output.data(), output.rows(), output.cols());
  const std::span<const T> kept(pass.kept.data(), static_cast<std::size_t>(pass.kept.size()));
  const auto weight_sums = sink.exact(weight_id_, map_.weight_size());
  const auto bias_sums = sink.exact(bias_id_, map_.bias_size());
  if (weight_sums) {
    map_.backward_exact(parameters(), output, kept, delta_output, delta.input, weight_sums->grid,
                        {weight_sums->sums, bias_sums->sums});
  } else {
    map_.backward(parameters(), output, kept, delta_output, delta.input,
                  {sink.sum(weight_id_), sink.sum(bias_id_)});
  }
  // N K and N b, from log|det|
  const ParameterGradient<T> both[] = {{weight_id_, {}, {T{1}}}, {bias_id_, {}, {T{1}}}};
  sink.give(both);
}

template <class T>
void SpectralLayer<T>::take_exact_sums(StepSums<T>& sums) const {
  take_exact(sums, weight_id_, map_.weight_size());
  take_exact(sums, bias_id_, map_.bias_size());
}

template <class T>
double SpectralLayer<T>::sample_independent_log_abs_det() const {
  return map_.log_abs_det(prefix_.c_str(), parameters().weight);
}

template <class T>
std::unique_ptr<DataStart<T>> SpectralLayer<T>::whitening_start() {
  return std::make_unique<SpectralStart<T>>(
      shape_, prefix_, SpectralSpans<T>{store_->values(weight_id_), store_->values(bias_id_)});
}

template class SpectralLayer<float>;
template class SpectralLayer<double>;

}  // namespace relgrad
