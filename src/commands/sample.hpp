#pragma once
/// Draws from a trained model: `relgrad sample`. Sample n is a function of the seed and n alone.
/// Ranks draw batches of them in turn, batch b the samples b B, ..., b B + B - 1; root writes.
#include <cstdint>
#include <string>

#include "relgrad/mpi/communicator.hpp"

namespace relgrad {

struct SampleOptions {
  std::string run;         // run directory: its best checkpoint, or
  std::string checkpoint;  // a checkpoint directory
  std::string output;      // .png: a grid of images; .h5: all samples
  std::int64_t count = 64;
  std::int64_t batch_size = 128;  // samples of a rank at once
  double temperature = 1.0;       // latent draws are multiplied by it
  std::int64_t label = -1;        // class of the samples; -1: drawn, each its own
  std::string inverse =
      "exact";  // exact: LU of every W | learned: the R of self-normalizing layers
  std::uint64_t seed = 1;
  std::int64_t threads = 1;     // per rank
  std::int64_t row_groups = 1;  // ranks that share every W; 0: all
  std::string products = "auto";
};

/// Collective. Returns the exit code of the process. @throws Error on every rank together.
int sample(const SampleOptions& options, const mpi::Communicator& comm);

}  // namespace relgrad
