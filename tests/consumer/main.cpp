// The exact log-likelihood of three points under a small flow that is still close to the identity.
#include <cstdio>
#include <numeric>
#include <relgrad/likelihood/log_likelihood.hpp>

int main() {
  using namespace relgrad;
  const Products products(parse_product_backend("auto"));
  const FlowSpec spec = make_flow_spec(/*dimension=*/4, /*linear_layers=*/2,
                                       /*activation=*/{"spline", {{"bins", 8}, {"bound", 6}}},
                                       /*last_activation=*/{"none", {}}, Latent::normal);
  Flow<double> flow(spec, products);
  flow.initialize(Initialization::identity, /*noise=*/0.0, /*seed=*/1);
  flow.prepare();

  Workspace<double> workspace(flow, /*capacity=*/3);
  workspace.set_batch(3);
  workspace.input().setConstant(0.5);
  forward(flow, workspace);
  const auto nats = workspace.log_likelihood();
  const double mean =
      std::accumulate(nats.begin(), nats.end(), 0.0) / 3.0 + sample_independent_log_abs_det(flow);
  std::printf("log-likelihood %.6f nats\n", mean);
}
