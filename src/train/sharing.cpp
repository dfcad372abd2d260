#include "relgrad/train/sharing.hpp"

#include "relgrad/core/error.hpp"
#include "relgrad/mpi/agreement.hpp"
#include "relgrad/train/determinism.hpp"

namespace relgrad {

namespace {

/// The gradient of D x |I| columns is summed over `data_groups` ranks: by factors where those are
/// smaller than what they multiply to.
std::string exchange_of_columns(const TrainOptions& options, Index dimension, int row_groups,
                                int data_groups) {
  if (data_groups == 1 || options.clip_norm > 0) return "dense";
  const double rows = static_cast<double>(dimension);
  const double cols = rows / row_groups;
  const double samples = static_cast<double>(options.batch_size);
  return samples * (rows + cols / data_groups) < rows * cols ? "factor" : "sharded";
}

}  // namespace

template <class T>
Sharing<T>::Sharing(const TrainOptions& options, Index dimension, const mpi::Communicator& comm,
                    const Products& products)
    : comm_(&comm), products_(&products) {
  exchange_ = exchange_of(options, dimension, comm.world_size());
  if (exchange_ != "row") return;
  if (options.gradient == "plain") {
    mpi::throw_on_all_ranks(UsageError(
        "--gradient: plain needs a whole W on every rank; use relative or self-normalizing with "
        "--exchange row"));
  }
  row_group_ = relgrad::make_row_group<T>(comm, options.row_groups);
  const int together = row_group_ == nullptr ? 1 : row_group_->size();
  exchange_ = exchange_of_columns(options, dimension, together, comm.world_size() / together);
}

template <class T>
std::unique_ptr<Exchange<T>> Sharing<T>::make_exchange() const {
  if (row_group_ == nullptr) return relgrad::make_exchange<T>(exchange_, *comm_, *products_);
  return make_row_exchange<T>(exchange_, *comm_, *row_group_, *products_);
}

template class Sharing<float>;
template class Sharing<double>;

}  // namespace relgrad
