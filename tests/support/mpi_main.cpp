// Entry of tests that run at several ranks: every rank runs every test; a failure on any rank fails
// all.
#include <gtest/gtest.h>

#include "relgrad/mpi/session.hpp"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  relgrad::mpi::Session session(argc, argv);
  return session.run([](const relgrad::mpi::Communicator& world) {
    if (!world.is_root()) {
      auto& listeners = testing::UnitTest::GetInstance()->listeners();
      delete listeners.Release(listeners.default_result_printer());
    }
    const int failed = RUN_ALL_TESTS();
    return world.allgather(failed) == std::vector<double>(world.world_size(), 0.0) ? 0 : 1;
  });
}
