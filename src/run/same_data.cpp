#include "run/same_data.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "relgrad/core/error.hpp"
#include "relgrad/mpi/agreement.hpp"

namespace relgrad {

void check_same_data(const DatasetInfo& dataset, const std::string& data,
                     const mpi::Communicator& comm) {
  const std::vector<std::string> identities = comm.allgather_strings(dataset.identity);
  const auto other = std::ranges::find_if(
      identities, [&](const std::string& identity) { return identity != identities.front(); });
  if (other == identities.end()) return;
  const auto rank = static_cast<int>(other - identities.begin());
  const std::string place = comm.allgather_strings(data)[static_cast<std::size_t>(rank)];
  mpi::throw_on_all_ranks(
      UsageError(fmt::format("--data: rank {} reads {}, whose content ({}) is not that of rank 0 "
                             "({}); give every rank the "
                             "same data set",
                             rank, place, *other, identities.front())));
}

}  // namespace relgrad
