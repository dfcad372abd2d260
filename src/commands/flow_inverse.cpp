#include "commands/flow_inverse.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>

#include "convolution/exact_convolution.hpp"
#include "linalg/lu.hpp"
#include "model/convolution_layer.hpp"
#include "relgrad/linalg/distributed_lu.hpp"
#include "relgrad/mpi/agreement.hpp"

namespace relgrad {

namespace {

/// The layers that have an exact inverse to factor, and their places in the flow.
template <class T>
class Factorable final : public LayerVisitor<T> {
 public:
  template <class L>
  struct At {
    std::size_t place;
    const L* layer;
  };

  Factorable(Flow<T>& flow, InverseKind kind) : kind_(kind) {
    for (; place_ < flow.layer_count(); ++place_) flow.layer(place_).accept(*this);
  }
  void visit(LinearLayer<T>& layer) override {
    if (!is_learned(layer)) linear.push_back({place_, &layer});
  }
  void visit(ConvolutionLayer<T>& layer) override {
    if (!is_learned(layer)) convolutions.push_back({place_, &layer});
  }
  void visit(DifferentiableLayer<T>& /*layer*/) override {}

  std::vector<At<LinearLayer<T>>> linear;
  std::vector<At<ConvolutionLayer<T>>> convolutions;

 private:
  bool is_learned(const Layer<T>& layer) const {
    return kind_ == InverseKind::learned && layer.learns_inverse();
  }
  InverseKind kind_;
  std::size_t place_ = 0;
};

std::string name_of_weight(std::size_t place) { return fmt::format("layer/{}/W", place); }

/// y - b of this rank's coordinates, in double precision.
template <class T>
Matrix<double> without_bias(const LinearLayer<T>& layer, const ConstMatrixMap<T>& output) {
  const Range own = layer.own();
  const ConstVectorMap<T> bias(layer.bias().data() + own.begin, own.size());
  return (output.colwise() - Vector<T>(bias)).template cast<double>();
}

/// Layer number l of `layers` is factored by rank l modulo the number of ranks.
template <class T>
std::vector<std::shared_ptr<LuFactors>> shared_factors(
    const std::vector<typename Factorable<T>::template At<LinearLayer<T>>>& layers,
    const mpi::Communicator& comm) {
  std::vector<std::shared_ptr<LuFactors>> factors;
  const auto owner = [&](std::size_t l) { return static_cast<int>(l) % comm.world_size(); };
  mpi::together(comm, [&] {
    for (std::size_t l = 0; l < layers.size(); ++l) {
      const LinearLayer<T>& layer = *layers[l].layer;
      factors.push_back(
          owner(l) == comm.rank()
              ? std::make_shared<LuFactors>(name_of_weight(layers[l].place), layer.weight())
              : std::make_shared<LuFactors>(layer.dimension()));
    }
  });
  for (std::size_t l = 0; l < layers.size(); ++l) {
    comm.broadcast(std::as_writable_bytes(factors[l]->values()), owner(l));
    comm.broadcast(std::as_writable_bytes(factors[l]->pivots()), owner(l));
  }
  return factors;
}

/// About the bytes of ConvolutionFactors: 3 D times the band of the banded LU, in double.
double bytes_of_factors(const ConvolutionShape& shape) {
  const Index reach = std::max<Index>(1, (shape.taps - 1) / 2);
  const Index band = reach * (shape.width + 2) * shape.channels_in;
  return 24.0 * static_cast<double>(shape.inputs()) * static_cast<double>(band);
}

}  // namespace

template <class T>
FlowInverse<T>::FlowInverse(Flow<T>& flow, InverseKind kind, const mpi::Communicator& comm,
                            const MpiRowGroup<T>* group)
    : flow_(&flow), kind_(kind), solvers_(flow.layer_count()) {
  const Factorable<T> found(flow, kind);
  if (group == nullptr) {
    const auto factors = shared_factors<T>(found.linear, comm);
    for (std::size_t l = 0; l < factors.size(); ++l) {
      const LinearLayer<T>* layer = found.linear[l].layer;
      solvers_[found.linear[l].place] = [layer, lu = factors[l]](const auto& output, auto input) {
        Matrix<double> right = without_bias(*layer, output);
        lu->solve_in_place(MatrixMap<double>(right.data(), right.rows(), right.cols()));
        input = right.template cast<T>();
      };
    }
  } else {
    for (const auto& [place, layer] : found.linear) {
      const auto lu = std::make_shared<DistributedLu<double>>(group->grid(), name_of_weight(place),
                                                              layer->weight());
      solvers_[place] = [layer = layer, lu](const auto& output, auto input) {
        Matrix<double> right = without_bias(*layer, output);
        lu->solve(MatrixMap<double>(right.data(), right.rows(), right.cols()));
        input = right.template cast<T>();
      };
    }
  }
  mpi::together(comm, [&] {
    constexpr double room = 256.0 * 1024 * 1024;
    double bytes = 0;
    for (const auto& [place, layer] : found.convolutions) {
      bytes += bytes_of_factors(layer->convolution());
      if (bytes > room) break;
      const auto factors = std::make_shared<ConvolutionFactors>(
          fmt::format("layer/{}/w", place), layer->convolution(), layer->weights());
      solvers_[place] = [layer = layer, factors](const auto& output, auto input) {
        factors->solve(layer->bias(), output, input);
      };
    }
  });
}

template <class T>
void FlowInverse<T>::operator()(const ConstMatrixMap<T>& z, MatrixMap<T> x) const {
  Index end = z.rows();  // latent coordinates below have not been used yet
  Matrix<T> output(0, z.cols());
  for (std::size_t i = flow_->layer_count(); i-- > 0;) {
    const LayerShape shape = flow_->layer(i).shape();
    end -= shape.leaves;
    const Matrix<T> latent = z.middleRows(end, shape.leaves);
    Matrix<T> input(flow_->own(shape.in.size()).size(), z.cols());
    const ConstMatrixMap<T> from(output.data(), output.rows(), output.cols());
    const MatrixMap<T> to(input.data(), input.rows(), input.cols());
    if (solvers_[i]) {
      solvers_[i](from, to);
    } else {
      flow_->layer(i).inverse(from, ConstMatrixMap<T>(latent.data(), latent.rows(), latent.cols()),
                              to, kind_);
    }
    output = std::move(input);
  }
  x = output;
}

template class FlowInverse<float>;
template class FlowInverse<double>;

}  // namespace relgrad
