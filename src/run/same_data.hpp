#pragma once
/// Every rank of a job reads the same data set, also where nodes have copies of their own.
#include <string>

#include "relgrad/data/dataset.hpp"
#include "relgrad/mpi/communicator.hpp"

namespace relgrad {

/// Collective. @param data  --data, of this rank
/// @throws UsageError on every rank, naming the first rank whose data are not those of rank 0.
void check_same_data(const DatasetInfo& dataset, const std::string& data,
                     const mpi::Communicator& comm);

}  // namespace relgrad
