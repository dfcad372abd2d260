#include <utility>

#include "relgrad/exchange/row_group.hpp"

namespace relgrad {

namespace {

/// Every W by columns over a row group; gradients summed by another exchange over the ranks that
/// hold the same columns; small parameters, which every rank has whole, over all ranks.
template <class T>
class RowExchange final : public Exchange<T> {
 public:
  RowExchange(std::string_view inner, const mpi::Communicator& world, MpiRowGroup<T>& group,
              const Products& products)
      : world_(make_exchange<T>("dense", world, products)),
        same_columns_(make_exchange<T>(inner, group.same_columns(), products)),
        group_(&group) {}

  std::string_view name() const override { return "row"; }
  Range own_columns(Index cols) const override { return same_columns_->own_columns(cols); }
  void outer_product(const ConstMatrixMap<T>& left, const ConstMatrixMap<T>& right,
                     const typename Exchange<T>::Apply& apply, const ReadNext<T>& beside) override {
    same_columns_->outer_product(left, right, apply, beside);
  }
  bool column_pass(const ConstMatrixMap<T>& w, const ConstMatrixMap<T>& left,
                   const ConstMatrixMap<T>& factors, MatrixMap<T> products,
                   const typename Exchange<T>::Apply& apply) override {
    return same_columns_->column_pass(w, left, factors, products, apply);
  }
  bool has_inner_product() const override { return same_columns_->has_inner_product(); }
  void inner_product(const ConstMatrixMap<T>& left, const ConstMatrixMap<T>& outputs,
                     const Range& coordinates, Matrix<double>& inner) override {
    // each rank of the group takes its share of the coordinates
    const Range own = group_->own(coordinates.size());
    same_columns_->inner_product(
        left, outputs, {coordinates.begin + own.begin, coordinates.begin + own.end}, inner);
    group_->sum(std::span(inner.data(), static_cast<std::size_t>(inner.size())));
  }
  void publish(MatrixMap<T> updated) override { same_columns_->publish(updated); }
  void sum(std::span<T> values) override { world_->sum(values); }
  void sum_exact(std::span<double> values) override { world_->sum_exact(values); }
  double sum_over_columns(double value) override {
    group_->sum(std::span(&value, 1));
    return value;
  }
  ExchangeCost take_cost() override {
    ExchangeCost total = group_->take_cost();
    for (const ExchangeCost& part : {world_->take_cost(), same_columns_->take_cost()}) {
      total.seconds += part.seconds;
      total.bytes_sent += part.bytes_sent;
    }
    return total;
  }

 private:
  std::unique_ptr<Exchange<T>> world_;
  std::unique_ptr<Exchange<T>> same_columns_;
  MpiRowGroup<T>* group_;
};

}  // namespace

template <class T>
std::unique_ptr<Exchange<T>> make_row_exchange(std::string_view inner,
                                               const mpi::Communicator& world,
                                               MpiRowGroup<T>& group, const Products& products) {
  return std::make_unique<RowExchange<T>>(inner, world, group, products);
}

template std::unique_ptr<Exchange<float>> make_row_exchange(std::string_view,
                                                            const mpi::Communicator&,
                                                            MpiRowGroup<float>&, const Products&);
template std::unique_ptr<Exchange<double>> make_row_exchange(std::string_view,
                                                             const mpi::Communicator&,
                                                             MpiRowGroup<double>&, const Products&);

}  // namespace relgrad
