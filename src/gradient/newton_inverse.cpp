#include <algorithm>
#include <cmath>
#include <vector>

#include "gradient/linear_gradient.hpp"
#include "gradient/linear_parts.hpp"

namespace relgrad {

namespace {

/// The plain gradient with R, which the layer keeps, in place of W^{-1}:
///   G_W = Delta X^T + B R^T      G_b = Delta 1
/// R is not learned by a gradient but follows W by Newton's iteration (Schulz 1933), R <- R + (I -
/// R W) R, on n of its rows a step, all of which have had their turn after D / n steps. Of S = R^T,
/// E_J the columns J of I:
///   S_J <- S_J + S (E_J - W^T S_J)
/// An error I - R W of the rows J becomes its own product with the error of all. 4 n D^2 flops a
/// layer beside the 6 B D^2 of forward and backward pass (4 the first layer), shared by the ranks
/// that share the update of W.
template <class T>
class NewtonGradient final : public LayerGradient<T> {
 public:
  NewtonGradient(LinearLayer<T>& layer, std::int64_t columns) : layer_(&layer), columns_(columns) {}

  void begin(const StepNumbers& numbers, const ColumnShare<T>& share) override {
    refine(layer_->parameters(), *layer_, numbers.step, share);
  }

  void backward(LayerPass<T> pass, LayerDelta<T> delta, GradientSink<T>& sink) override {
    const LinearLayer<T>& layer = *layer_;
    add_weighted_sum<T>(layer, read(delta.output), Vector<T>::Ones(pass.input.cols()), sink);
    sink.give({layer.bias_id(), {}, {}});
    const ConstMatrixMap<T> delta_out = read(gathered(layer, delta.output));
    if (delta.input_is_needed) {
      multiply_transposed(layer, layer.weight(), delta_out, delta.input.data());
    }
    sink.give({layer.weight_id(),
               Factors<T>{delta_out, pass.input, {}},
               {T{0}, layer.inverse_transposed().data(), T{1}}});
  }

  void take_exact_sums(StepSums<T>& sums) override { take_exact_bias(*layer_, sums); }

 private:
  /// Those of the columns [begin, end) of S whose turn it is, as coordinates of the layer.
  void choose(Index dimension, std::int64_t step, const Range& columns) {
    chosen_.clear();
    const Index period = std::max<Index>(1, (dimension + columns_ - 1) / columns_);
    const Index turn = step % period;
    for (Index j = columns.begin + (period + turn - columns.begin % period) % period;
         j < columns.end; j += period) {
      chosen_.push_back(j);
    }
  }

  void refine(ParameterStore<T>& store, const LinearLayer<T>& layer, std::int64_t step,
              const ColumnShare<T>& share) {
    const Index d = layer.dimension();
    const Range here = layer.own();
    MatrixMap<T> s = store.matrix(layer.inverse_id());
    const Range own = share.own(here.size());
    choose(d, step, {here.begin + own.begin, here.begin + own.end});
    const auto count = static_cast<Index>(chosen_.size());
    MatrixMap<T> columns = columns_of_s_.matrix(d, count);
    for (Index q = 0; q < count; ++q) {
      columns.col(q) = s.col(chosen_[static_cast<std::size_t>(q)] - here.begin);
    }
    // In a row group every rank has the columns of all, in the order of ranks.
    // Made, not assigned: to assign a map is to copy numbers.
    using Columns = typename RowGroup<T>::Columns;
    const Columns together = layer.row_group() == nullptr
                                 ? Columns{columns, chosen_, {0, count}}
                                 : layer.row_group()->allgather_columns(read(columns), chosen_);
    const MatrixMap<T>& all = together.all;
    if (all.cols() > 0) {
      // E_J - W^T S_J, this rank's rows
      MatrixMap<T> missing = missing_.matrix(here.size(), all.cols());
      multiply_transposed(layer, layer.weight(), read(all), missing.data());
      missing = -missing;
      for (Index q = 0; q < all.cols(); ++q) {
        const Index j = together.coordinates[static_cast<std::size_t>(q)];
        if (here.begin <= j && j < here.end) missing(j - here.begin, q) += T{1};
      }
      const MatrixMap<T> more =
          sum_of_products(layer, layer.inverse_transposed(), read(missing), more_, own_rows_);
      for (Index q = 0; q < count; ++q) {
        s.col(chosen_[static_cast<std::size_t>(q)] - here.begin) +=
            more.col(together.own.begin + q);
      }
    }
    share.publish(s);
  }

  LinearLayer<T>* layer_;
  Index columns_;
  std::vector<Index> chosen_;
  Room<T> columns_of_s_, missing_, more_, own_rows_;
};

}  // namespace

template <class T>
std::unique_ptr<LayerGradient<T>> make_newton_gradient(LinearLayer<T>& layer,
                                                       const GradientOptions& options) {
  return std::make_unique<NewtonGradient<T>>(layer, options.newton_rows);
}

template std::unique_ptr<LayerGradient<float>> make_newton_gradient(LinearLayer<float>&,
                                                                    const GradientOptions&);
template std::unique_ptr<LayerGradient<double>> make_newton_gradient(LinearLayer<double>&,
                                                                     const GradientOptions&);

}  // namespace relgrad
