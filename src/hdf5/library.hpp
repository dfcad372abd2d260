#pragma once
#include <string>

namespace relgrad::hdf5 {

/// The HDF5 library of this process: "1.10.8, built for MPI".
std::string library();

}  // namespace relgrad::hdf5
