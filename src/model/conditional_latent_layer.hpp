#pragma once
/// The end of a conditional flow: all coordinates leave, each class with its own mean and scale of
/// the latent density (MATH section 3). One pass of the flow before it serves all classes.
#include <vector>

#include "relgrad/core/partition.hpp"
#include "relgrad/model/flow.hpp"
#include "relgrad/model/latent.hpp"
#include "relgrad/model/layer.hpp"
#include "relgrad/model/row_group.hpp"

namespace relgrad {

inline constexpr const char* mean_name = "latent/mean";
inline constexpr const char* log_scale_name = "latent/log_scale";
inline constexpr const char* prior_name = "latent/prior";

/// p_0 the latent density of one coordinate, m_k and s_k the mean and the log-scale of class k:
///   log p(z | k) = sum_i [ log p_0((z_i - m_ki) e^{-s_ki}) - s_ki ]
///   log p(z)     = log sum_k prior_k p(z | k)
/// A sample with label k adds log p(z | k) to its log-likelihood, one without a label log p(z).
template <class T>
class ConditionalLatentLayer final : public DifferentiableLayer<T> {
 public:
  /// Declares, of D' coordinates, "latent/mean" and "latent/log_scale" (D' x K; zero at the start)
  /// and "latent/prior" (K; no gradient moves it). With a row group, batches have this rank's
  /// coordinates, and forward() is collective where a sample has no label.
  ConditionalLatentLayer(ParameterStore<T>& store, const SampleShape& shape, Latent latent,
                         Index classes, RowGroup<T>* row_group);
  std::string_view kind() const override { return "latent"; }
  LayerShape shape() const override {
    return {shape_, SampleShape(), own_.size(), classes_, own_.size()};
  }
  bool splits_by_coordinates() const override { return true; }
  void initialize(const LayerStart& start) override;
  void prepare() override;
  /// latent = input; kept: log p(k | z) of samples without a label, or with a class weight of all.
  void forward(LayerPass<T> pass) const override;
  void inverse(const ConstMatrixMap<T>& output, const ConstMatrixMap<T>& latent, MatrixMap<T> input,
               InverseKind kind) const override;
  void backward(LayerPass<T> pass, LayerDelta<T> delta, GradientSink<T>& sink) const override;
  void take_exact_sums(StepSums<T>& sums) const override;
  /// From now on the gradient is that of log p(z | k) + weight log p(k | z) for a sample of class
  /// k. The log-likelihood stays what it is. Cost: the densities of all classes, not of one.
  void set_class_weight(double weight) { class_weight_ = weight; }

 private:
  /// log p(z | k) over this rank's coordinates. @param room  as many numbers as z
  double log_density(Index k, const T* z, T* room) const;
  void forward_of_all_classes(LayerPass<T>& pass) const;
  /// Of log p(z | k) in what is maximised. @param posterior  p(k | z)
  T weight_of(Label label, Index k, T posterior) const;
  /// Of the coordinates [begin, end) of this rank, all samples: dL/dz, and the sums of dL/dm and
  /// dL/ds, which `add` takes.
  template <class Add>
  void backward_of(const Range& coordinates, const LayerPass<T>& pass, MatrixMap<T>& delta,
                   const Add& add) const;

  ParameterStore<T>* store_;
  SampleShape shape_;
  Latent latent_;
  Index classes_;
  RowGroup<T>* row_group_;
  Range own_;
  ParameterId mean_id_, log_scale_id_, prior_id_;
  double class_weight_ = 0;
  // Derived by prepare():
  Matrix<T> inverse_scale_;            // e^{-s}, |own| x K
  std::vector<double> log_scale_sum_;  // over this rank's coordinates, per class
  std::vector<double> log_prior_;
  mutable Matrix<double> densities_;  // log p(z | k), K x B
};

/// ConditionalLatentLayer::set_class_weight of a conditional flow's last layer; does nothing to
/// others.
template <class T>
void set_class_weight(Flow<T>& flow, double weight);

}  // namespace relgrad
