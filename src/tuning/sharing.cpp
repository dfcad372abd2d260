#include "tuning/sharing.hpp"

#include "relgrad/core/error.hpp"
#include "relgrad/mpi/agreement.hpp"

namespace relgrad {

template <class T>
Sharing<T>::Sharing(const TrainOptions& options, const FlowWork& work,
                    const mpi::Communicator& comm, const Products& products,
                    const nlohmann::json& kept)
    : comm_(&comm),
      products_(&products),
      decision_(choose_sharing<T>(options, work, comm, products, kept)),
      exchange_(name()) {
  if (name() != "row") return;
  if (options.gradient == "plain") {
    mpi::throw_on_all_ranks(UsageError(
        "--gradient: plain needs a whole W on every rank; use relative or self-normalizing with "
        "--exchange row"));
  }
  row_group_ = relgrad::make_row_group<T>(comm, choice().row_groups);
  const int together = row_group_ == nullptr ? 1 : row_group_->size();
  // Clipping needs all columns that are here, on every rank that holds them.
  exchange_ = options.clip_norm > 0
                  ? "dense"
                  : exchange_of_columns(work.matrix_size, together, comm.world_size() / together,
                                        options.batch_size);
}

template <class T>
std::unique_ptr<Exchange<T>> Sharing<T>::make_exchange() const {
  if (row_group_ == nullptr) return relgrad::make_exchange<T>(exchange_, *comm_, *products_);
  return make_row_exchange<T>(exchange_, *comm_, *row_group_, *products_);
}

template <class T>
std::unique_ptr<Exchange<T>> Sharing<T>::make_exchange(const ExchangeChoice& choice) const {
  return relgrad::make_exchange<T>(choice.name, *comm_, *products_);
}

template class Sharing<float>;
template class Sharing<double>;

}  // namespace relgrad
