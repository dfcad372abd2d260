#pragma once
/// Image files as samples {C, H, W}.
#include "data/image_store.hpp"
#include "data/sample_source.hpp"

namespace relgrad {

/// Looks at the header of every image first: without options.size all must have one size.
/// @throws DataError naming two files and their sizes, or the file that is no image.
std::unique_ptr<SampleSource> make_image_source(std::unique_ptr<ImageStore> store,
                                                const SourceOptions& options);

}  // namespace relgrad
