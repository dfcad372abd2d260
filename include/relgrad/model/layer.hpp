#pragma once
/// What every layer of a flow can do. A layer is an invertible map of samples; some of its outputs
/// may leave the flow as a part of the latent vector. A batch is a column-major matrix with one
/// sample per column. A new layer is one header, one source and one row in model/registry.cpp.
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "relgrad/core/label.hpp"
#include "relgrad/core/types.hpp"
#include "relgrad/model/gradient_sink.hpp"
#include "relgrad/model/shape.hpp"

namespace relgrad {

/// How a layer is undone: exactly, or by an inverse that it has learned, where it has one.
enum class InverseKind { exact, learned };

enum class Initialization { identity, orthogonal };
Initialization parse_initialization(std::string_view name);  // @throws UsageError
std::string_view name_of(Initialization initialization);

/// How training starts. The same numbers on every rank.
struct LayerStart {
  Initialization initialization = Initialization::identity;
  double noise = 0;  // standard deviation of the noise on an identity start, times 1/sqrt(fan-in)
  std::uint64_t seed = 0;
  std::uint64_t layer = 0;  // place in the flow: names the layer's random draws
};

/// Memory of one layer in one pass, B samples; by value, as a const map is read-only. In a row
/// group the rows are this rank's coordinates.
template <class T>
struct LayerPass {
  ConstMatrixMap<T> input;           // in.size() x B
  MatrixMap<T> output;               // out.size() x B
  MatrixMap<T> latent;               // leaves x B
  MatrixMap<T> kept;                 // kept x B: written by forward(), read by backward()
  MatrixMap<T> scratch;              // scratch x B, of no particular value
  std::span<double> log_likelihood;  // B numbers, nats
  // Of a conditional flow, B numbers; empty: no label is known.
  std::span<const Label> labels = {};
};

/// Derivatives of the summed log-likelihood L at one layer.
template <class T>
struct LayerDelta {
  MatrixMap<T> output;   // dL/d(output), out.size() x B; may be overwritten. LayerPass::output
                         // follows it in memory: both are one matrix of 2 B columns
  MatrixMap<T> input;    // dL/d(input), in.size() x B: to be written
  bool input_is_needed;  // false: nobody reads `input`
};

/// Fits a layer's start in closed form to the inputs that the training data give it.
template <class T>
class DataStart {
 public:
  virtual ~DataStart() = default;
  /// A batch of inputs, a sample per column.
  virtual void add(const ConstMatrixMap<T>& batch) = 0;
  /// This rank's sums; replaced by those of all ranks before finish().
  virtual std::span<double> sums() = 0;
  /// Sets the layer's parameters.
  virtual void finish() = 0;
};

template <class T>
class LayerVisitor;

template <class T>
class Layer {
 public:
  virtual ~Layer() = default;
  /// The name in the registry: "linear", "spline", "conv", ...
  virtual std::string_view kind() const = 0;
  virtual LayerShape shape() const = 0;

  /// The start of training. All parameters are zero before.
  virtual void initialize(const LayerStart& /*start*/) {}
  /// Recomputes what the layer derives from its parameters (spline knots, say); called after every
  /// change of parameters and before forward, inverse and backward.
  virtual void prepare() {}
  /// output, latent = f(input). Adds to log_likelihood[n] what depends on sample n: its part of
  /// log|det df/dinput|, and the log-density of what leaves (nats).
  virtual void forward(LayerPass<T> pass) const = 0;
  /// input = f^{-1}(output, latent).
  virtual void inverse(const ConstMatrixMap<T>& output, const ConstMatrixMap<T>& latent,
                       MatrixMap<T> input, InverseKind kind) const = 0;
  /// The part of log|det| that is the same for every sample, nats. Layers that have one say so:
  /// ranks share the work.
  virtual bool has_sample_independent_part() const { return false; }
  virtual double sample_independent_log_abs_det() const { return 0.0; }
  /// Whether the layer learns an inverse beside itself; inverse(learned) then uses it, and is exact
  /// otherwise.
  virtual bool learns_inverse() const { return false; }
  /// Two numbers that a layer with a learned inverse keeps (gradient/geco.hpp); none: it has none.
  virtual std::span<const T> reconstruction() const { return {}; }
  /// Whether ranks may share it in a row group: each has its own coordinates of all samples.
  virtual bool splits_by_coordinates() const { return false; }
  /// Calls `visitor` with the layer's own type.
  virtual void accept(LayerVisitor<T>& visitor) = 0;

  /// For --init whitening: the start that makes the layer's outputs uncorrelated, with variance 1.
  /// Null: the layer has none of its own.
  virtual std::unique_ptr<DataStart<T>> whitening_start() { return nullptr; }
  /// The start from the inputs that the first batch gives, whatever --init says (actnorm). Null:
  /// the layer has none.
  /// @param samples  of the batch, all ranks together
  virtual std::unique_ptr<DataStart<T>> first_batch_start(std::int64_t /*samples*/) {
    return nullptr;
  }
};

/// A layer with one gradient, whatever --gradient says.
template <class T>
class DifferentiableLayer : public Layer<T> {
 public:
  void accept(LayerVisitor<T>& visitor) override;
  /// Writes delta.input and gives the gradient of every parameter, from delta.output.
  virtual void backward(LayerPass<T> pass, LayerDelta<T> delta, GradientSink<T>& sink) const = 0;
  /// Makes gradients of what went into exact sums, which are now those of all ranks.
  virtual void take_exact_sums(StepSums<T>& /*sums*/) const {}
};

template <class T>
class LinearLayer;
template <class T>
class ConvolutionLayer;

/// Tells apart the layers whose gradient can be had in several ways.
template <class T>
class LayerVisitor {
 public:
  virtual ~LayerVisitor() = default;
  virtual void visit(LinearLayer<T>& layer) = 0;
  virtual void visit(ConvolutionLayer<T>& layer) = 0;
  virtual void visit(DifferentiableLayer<T>& layer) = 0;
};

template <class T>
void DifferentiableLayer<T>::accept(LayerVisitor<T>& visitor) {
  visitor.visit(*this);
}

}  // namespace relgrad
