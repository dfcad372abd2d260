#include "model/actnorm_layer.hpp"

#include <utility>
#include <vector>

namespace relgrad {

namespace {

template <class T>
class ActnormStart final : public DataStart<T> {
 public:
  ActnormStart(const Actnorm<T>& map, const SampleShape& shape, std::int64_t samples,
               std::span<T> log_scale, std::span<T> shift)
      : map_(&map),
        moments_(shape.channels, shape.area(), samples),
        log_scale_(log_scale),
        shift_(shift) {}
  void add(const ConstMatrixMap<T>& batch) override { moments_.add(batch); }
  std::span<double> sums() override { return moments_.sums(); }
  void finish() override {
    std::vector<double> mean(shift_.size());
    std::vector<double> variance(shift_.size());
    moments_.mean_and_variance(mean, variance);
    map_->start_from(mean, variance, log_scale_, shift_);
  }

 private:
  const Actnorm<T>* map_;
  ChannelMoments moments_;
  std::span<T> log_scale_;
  std::span<T> shift_;
};

}  // namespace

template <class T>
ActnormLayer<T>::ActnormLayer(ParameterStore<T>& store, const std::string& prefix,
                              const SampleShape& shape)
    : store_(&store),
      shape_(shape),
      map_(shape.channels, shape.area()),
      log_scale_id_(store.add(prefix + "/log_scale", {}, shape.channels, 1)),
      shift_id_(store.add(prefix + "/shift", {}, shape.channels, 1)),
      positions_(static_cast<std::size_t>(shape.channels), static_cast<T>(shape.area())) {}

template <class T>
std::span<const T> ActnormLayer<T>::log_scale() const {
  return std::as_const(*store_).values(log_scale_id_);
}
template <class T>
std::span<const T> ActnormLayer<T>::shift() const {
  return std::as_const(*store_).values(shift_id_);
}

template <class T>
void ActnormLayer<T>::forward(LayerPass<T> pass) const {
  map_.forward(log_scale(), shift(), pass.input, pass.output);
}

template <class T>
void ActnormLayer<T>::inverse(const ConstMatrixMap<T>& output, const ConstMatrixMap<T>& /*latent*/,
                              MatrixMap<T> input, InverseKind /*kind*/) const {
  map_.inverse(log_scale(), shift(), output, input);
}

template <class T>
void ActnormLayer<T>::backward(LayerPass<T> pass, LayerDelta<T> delta,
                               GradientSink<T>& sink) const {
  const ConstMatrixMap<T> output(pass.output.data(), pass.output.rows(), pass.output.cols());
  const ConstMatrixMap<T> delta_output(delta.output.data(), output.rows(), output.cols());
  const auto channels = static_cast<std::size_t>(shape_.channels);
  const auto scale_sums = sink.exact(log_scale_id_, channels);
  const auto shift_sums = sink.exact(shift_id_, channels);
  if (scale_sums) {
    map_.backward_exact(log_scale(), output, delta_output, delta.input, scale_sums->grid,
                        scale_sums->sums, shift_sums->sums);
  } else {
    map_.backward(log_scale(), output, delta_output, delta.input, sink.sum(log_scale_id_),
                  sink.sum(shift_id_));
  }
  // N HW, from log|det|
  const ParameterGradient<T> both[] = {{log_scale_id_, {}, {T{0}, positions_.data()}},
                                       {shift_id_, {}, {}}};
  sink.give(both);
}

template <class T>
void ActnormLayer<T>::take_exact_sums(StepSums<T>& sums) const {
  take_exact(sums, log_scale_id_, static_cast<std::size_t>(shape_.channels));
  take_exact(sums, shift_id_, static_cast<std::size_t>(shape_.channels));
}

template <class T>
double ActnormLayer<T>::sample_independent_log_abs_det() const {
  return map_.log_abs_det(log_scale());
}

template <class T>
std::unique_ptr<DataStart<T>> ActnormLayer<T>::first_batch_start(std::int64_t samples) {
  return std::make_unique<ActnormStart<T>>(map_, shape_, samples, store_->values(log_scale_id_),
                                           store_->values(shift_id_));
}

template class ActnormLayer<float>;
template class ActnormLayer<double>;

}  // namespace relgrad
