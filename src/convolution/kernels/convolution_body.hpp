// No include guard: convolution_kernels.cpp includes this once per instruction set, inside a
// namespace and after RELGRAD_VECTOR_BYTES is set.

template <class T>
struct Lanes {
  using Vector __attribute__((vector_size(RELGRAD_VECTOR_BYTES))) = T;
  static constexpr int count = RELGRAD_VECTOR_BYTES / static_cast<int>(sizeof(T));
};

/// A vector of doubles, and as many numbers of type T.
template <class T>
struct Doubles {
  using Vector __attribute__((vector_size(RELGRAD_VECTOR_BYTES))) = double;
  using Narrow __attribute__((vector_size(RELGRAD_VECTOR_BYTES / (sizeof(double) / sizeof(T))))) =
      T;
  static constexpr int count = RELGRAD_VECTOR_BYTES / static_cast<int>(sizeof(double));
};

template <class T>
RELGRAD_INLINE typename Lanes<T>::Vector load(const T* from) {
  typename Lanes<T>::Vector v;
  __builtin_memcpy(&v, from, sizeof(v));
  return v;
}
template <class T>
RELGRAD_INLINE void store(T* to, typename Lanes<T>::Vector v) {
  __builtin_memcpy(to, &v, sizeof(v));
}

/// Lane i of the result, counting both vectors' lanes as one row: with `low`, the numbers whose
/// lane has bit `distance` clear, otherwise those that have it set, of both vectors by turns.
template <class T, int distance, bool low, std::size_t... I>
RELGRAD_INLINE typename Lanes<T>::Vector pick(typename Lanes<T>::Vector first,
                                              typename Lanes<T>::Vector second,
                                              std::index_sequence<I...>) {
  constexpr int count = Lanes<T>::count;
  constexpr auto from = [](int lane) {
    const bool of_first = (lane & distance) == 0;
    return (of_first ? lane : count + lane - distance) + (low ? 0 : distance);
  };
#ifdef __clang__
  return __builtin_shufflevector(first, second, from(static_cast<int>(I))...);
#else  // GCC has that one since version 12
  using Word = std::conditional_t<sizeof(T) == 4, std::int32_t, std::int64_t>;
  using Mask __attribute__((vector_size(RELGRAD_VECTOR_BYTES))) = Word;
  return __builtin_shuffle(first, second, Mask{from(static_cast<int>(I))...});
#endif
}

/// Transposes a square: number j of vector i becomes number i of vector j.
template <class T, int distance = Lanes<T>::count / 2>
RELGRAD_INLINE void transpose(typename Lanes<T>::Vector (&rows)[Lanes<T>::count]) {
  if constexpr (distance > 0) {
    constexpr int count = Lanes<T>::count;
#pragma GCC unroll 16
    for (int i = 0; i < count; ++i) {
      if ((i & distance) != 0) continue;
      const auto first = rows[i];
      const auto second = rows[i + distance];
      rows[i] = pick<T, distance, true>(first, second, std::make_index_sequence<count>{});
      rows[i + distance] =
          pick<T, distance, false>(first, second, std::make_index_sequence<count>{});
    }
    transpose<T, distance / 2>(rows);
  }
}

/// to[i][lane] = number `begin + i` of the lane's sample, i in [0, count). `size`: of a sample.
template <class T>
RELGRAD_INLINE void gather_run(const T* const (&from)[Lanes<T>::count], Count size, Count begin,
                               Count count, T* to) {
  constexpr int lanes = Lanes<T>::count;
  for (Count i = 0; i < count; i += lanes) {
    // A square reads `lanes` numbers of each sample: the last one begins earlier, to end with it.
    const Count at = std::min(begin + i, size - lanes);
    const Count used = std::min<Count>(lanes, count - i);
    if (at < 0) {
      for (Count j = 0; j < used; ++j) {
        for (int lane = 0; lane < lanes; ++lane)
          to[(i + j) * lanes + lane] = from[lane][begin + i + j];
      }
      return;
    }
    const Count skipped = begin + i - at;
    typename Lanes<T>::Vector rows[lanes];
#pragma GCC unroll 16
    for (int lane = 0; lane < lanes; ++lane) rows[lane] = load<T>(from[lane] + at);
    transpose<T>(rows);
#pragma GCC unroll 16
    for (int j = 0; j < lanes; ++j) {
      if (j >= skipped && j < skipped + used) store<T>(to + (i + j - skipped) * lanes, rows[j]);
    }
  }
}

/// What surrounds a plane: zeros, or the plane again.
template <class T>
RELGRAD_INLINE void fill_halo(const ConvolutionPlanes& planes, T* plane) {
  constexpr int lanes = Lanes<T>::count;
  using Vector = typename Lanes<T>::Vector;
  const Count halo = planes.halo();
  const Count stride = planes.padded_width();
  const auto inside = [](Count i, Count n) { return ((i % n) + n) % n; };
  for (Count h = 0; h < planes.height + 2 * halo; ++h) {
    const bool in_rows = h >= halo && h < planes.height + halo;
    for (Count w = 0; w < stride; ++w) {
      if (in_rows && w == halo) w += planes.width;  // the plane itself
      if (w >= stride) break;
      const Count from_h = halo + inside(h - halo, planes.height);
      const Count from_w = halo + inside(w - halo, planes.width);
      store<T>(plane + (h * stride + w) * lanes,
               planes.circular ? load<T>(plane + (from_h * stride + from_w) * lanes) : Vector{});
    }
  }
}

template <class T>
void gather(const ConvolutionPlanes& planes, const SampleColumns<const T>& samples, Count begin,
            Count end, T* tile) {
  constexpr int lanes = Lanes<T>::count;
  const T* from[lanes];
  for (int lane = 0; lane < lanes; ++lane) {
    from[lane] = samples.first + std::min<Count>(lane, samples.count - 1) * samples.size;
  }
  const Count halo = planes.halo();
  for (Count c = begin; c < end; ++c) {
    T* plane = tile + c * planes.padded_size() * lanes;
    for (Count h = 0; h < planes.height; ++h) {
      gather_run<T>(from, samples.size, (c * planes.height + h) * planes.width, planes.width,
                    plane + ((h + halo) * planes.padded_width() + halo) * lanes);
    }
    if (halo > 0) fill_halo<T>(planes, plane);
    if (samples.count == lanes) continue;
    for (Count i = 0; i < planes.padded_size(); ++i) {
      for (Count lane = samples.count; lane < lanes; ++lane) plane[i * lanes + lane] = T(0);
    }
  }
}

template <class T>
void scatter(const T* plain, const SampleColumns<T>& samples) {
  constexpr int lanes = Lanes<T>::count;
  Count i = 0;
  for (; i + lanes <= samples.size; i += lanes) {
    typename Lanes<T>::Vector rows[lanes];
#pragma GCC unroll 16
    for (int j = 0; j < lanes; ++j) rows[j] = load<T>(plain + (i + j) * lanes);
    transpose<T>(rows);
#pragma GCC unroll 16
    for (int lane = 0; lane < lanes; ++lane) {
      if (lane < samples.count) store<T>(samples.first + lane * samples.size + i, rows[lane]);
    }
  }
  for (; i < samples.size; ++i) {
    for (Count lane = 0; lane < samples.count; ++lane) {
      samples.first[lane * samples.size + i] = plain[i * lanes + lane];
    }
  }
}

/// Positions (or columns of a weight gradient) worked on together with `channels` channels: their
/// sums fill the registers, and are enough chains of multiply-adds to hide the latency of each.
constexpr Count most_together(int channels) { return channels <= 2 ? 6 : 3; }

/// How many are next when `left` are left: few at a time are slow, so the last but one gives some
/// of its own.
constexpr Count next_together(Count left, Count most) {
  const Count least = most / 2 + 1;
  return left <= most ? left : (left < most + least - 1 ? (left + 1) / 2 : most);
}

/// Taps along H, [begin, end), that meet more than padding by zeros in row h.
struct TapRows {
  TapRows(const ConvolutionPlanes& planes, Count h)
      : begin(planes.circular ? 0 : std::max<Count>(0, planes.halo() - h)),
        end(planes.circular ? planes.taps
                            : std::min(planes.taps, planes.height + planes.halo() - h)) {}
  Count begin;
  Count end;
};

/// R output channels at P positions beside each other:
///   y(r, p) = bias(r) + sum over channels in and taps of w(r, c, dy, dx) x(c, h + dy, w + p + dx)
template <class T, int R, int P>
RELGRAD_INLINE void convolve_positions(const ConvolutionPlanes& planes, TapRows rows,
                                       Count channels_in, const T* weights, const T* bias,
                                       const T* x, T* y) {
  constexpr int lanes = Lanes<T>::count;
  using Vector = typename Lanes<T>::Vector;
  Vector sum[R][P];
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 6
    for (int p = 0; p < P; ++p) sum[r][p] = Vector{} + bias[r];
  }
  const Count row_size = planes.padded_width() * lanes;
  const Count plane_size = planes.padded_size() * lanes;
  for (Count c = 0; c < channels_in; ++c) {
    const T* tap = weights + (c * planes.taps + rows.begin) * planes.taps * convolution_block;
    for (Count dy = rows.begin; dy < rows.end; ++dy) {
      const T* row = x + c * plane_size + dy * row_size;
      for (Count dx = 0; dx < planes.taps; ++dx) {
        Vector at[P];
#pragma GCC unroll 6
        for (int p = 0; p < P; ++p) at[p] = load<T>(row + p * lanes);
#pragma GCC unroll 4
        for (int r = 0; r < R; ++r) {
#pragma GCC unroll 6
          for (int p = 0; p < P; ++p) sum[r][p] = at[p] * tap[r] + sum[r][p];
        }
        row += lanes;
        tap += convolution_block;
      }
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < R; ++r) {
#pragma GCC unroll 6
    for (int p = 0; p < P; ++p) store<T>(y + (r * planes.size() + p) * lanes, sum[r][p]);
  }
}

template <class T, int R, int P = most_together(R)>
RELGRAD_INLINE void convolve_next(Count together, const ConvolutionPlanes& planes, TapRows rows,
                                  Count channels_in, const T* weights, const T* bias, const T* x,
                                  T* y) {
  if constexpr (P > 1) {
    if (together < P) {
      return convolve_next<T, R, P - 1>(together, planes, rows, channels_in, weights, bias, x, y);
    }
  }
  convolve_positions<T, R, P>(planes, rows, channels_in, weights, bias, x, y);
}

/// One row of `channels` output channels.
template <class T, int R = convolution_block>
void convolve_row(const ConvolutionPlanes& planes, TapRows rows, Count channels_in, Count channels,
                  const T* weights, const T* bias, const T* x, T* y) {
  if constexpr (R > 1) {
    if (channels < R) {
      return convolve_row<T, R - 1>(planes, rows, channels_in, channels, weights, bias, x, y);
    }
  }
  constexpr int lanes = Lanes<T>::count;
  for (Count w = 0, together = 0; w < planes.width; w += together) {
    together = next_together(planes.width - w, most_together(R));
    convolve_next<T, R>(together, planes, rows, channels_in, weights, bias, x + w * lanes,
                        y + w * lanes);
  }
}

// Row by row: the rows of all channels in that one row out needs stay near while the weights pass,
// and weights are the smaller stream: R numbers for P vectors of x.
template <class T>
void convolve(const ConvolutionPlanes& planes, Count channels_in, Count channels_out,
              const T* weights, const T* bias, const T* padded, T* plain) {
  constexpr int lanes = Lanes<T>::count;
  const Count columns = channels_in * planes.taps * planes.taps;
  for (Count h = 0; h < planes.height; ++h) {
    for (Count o = 0; o < channels_out; o += convolution_block) {
      convolve_row<T>(planes, TapRows(planes, h), channels_in,
                      std::min<Count>(convolution_block, channels_out - o), weights + o * columns,
                      bias + o, padded + h * planes.padded_width() * lanes,
                      plain + (o * planes.height + h) * planes.width * lanes);
    }
  }
}

/// The columns (channel in, tap) of a weight gradient that are summed together: where their first
/// numbers lie in a padded tile.
template <class T, int Q>
struct Columns {
  const T* first[Q];
  Count begin;  // rows of delta, [begin, end), that meet more than padding by zeros
  Count end;
};

template <class T, int Q>
RELGRAD_INLINE Columns<T, Q> columns_from(const ConvolutionPlanes& planes, Count column,
                                          const T* x) {
  constexpr int lanes = Lanes<T>::count;
  Columns<T, Q> result = {{}, planes.height, 0};
  for (int q = 0; q < Q; ++q) {
    const Count tap = (column + q) % (planes.taps * planes.taps);
    const Count channel = (column + q) / (planes.taps * planes.taps);
    result.first[q] = x + (channel * planes.padded_size() +
                           (tap / planes.taps) * planes.padded_width() + tap % planes.taps) *
                              lanes;
    const Count above = planes.halo() - tap / planes.taps;  // rows of padding, if positive
    result.begin = std::min(result.begin, planes.circular ? 0 : std::max<Count>(0, above));
    result.end =
        std::max(result.end,
                 planes.circular ? planes.height : std::min(planes.height, planes.height + above));
  }
  return result;
}

/// sum(r, q) += sum over positions of delta(r, h, w) x(q, h, w), for every lane.
template <class T, int R, int Q>
RELGRAD_INLINE void correlate_tile(const ConvolutionPlanes& planes, const T* delta,
                                   const Columns<T, Q>& x, typename Lanes<T>::Vector (&sum)[R][Q]) {
  constexpr int lanes = Lanes<T>::count;
  using Vector = typename Lanes<T>::Vector;
  const Count plane_size = planes.padded_size() * lanes;
  const Count row_size = planes.padded_width() * lanes;
  const T* first = delta + planes.halo() * (row_size + lanes);
  for (Count h = x.begin; h < x.end; ++h) {
    const Count end = h * row_size + planes.width * lanes;
    for (Count at = h * row_size; at < end; at += lanes) {
      Vector column[Q];
#pragma GCC unroll 6
      for (int q = 0; q < Q; ++q) column[q] = load<T>(x.first[q] + at);
#pragma GCC unroll 4
      for (int r = 0; r < R; ++r) {
        const Vector d = load<T>(first + r * plane_size + at);
#pragma GCC unroll 6
        for (int q = 0; q < Q; ++q) sum[r][q] = d * column[q] + sum[r][q];
      }
    }
  }
}

template <class T>
RELGRAD_INLINE T lane_sum(typename Lanes<T>::Vector v) {
  T sum = 0;
  for (int lane = 0; lane < Lanes<T>::count; ++lane) sum += v[lane];
  return sum;
}
/// Sum of ExactGrid::round of every lane.
template <class T>
RELGRAD_INLINE double exact_lane_sum(typename Lanes<T>::Vector v, const ExactGrid& grid) {
  using D = Doubles<T>;
  alignas(64) T lanes[Lanes<T>::count];
  store<T>(lanes, v);
  const typename D::Vector limit = typename D::Vector{} + grid.limit();
  typename D::Vector sum = {};
#pragma GCC unroll 4
  for (int lane = 0; lane < Lanes<T>::count; lane += D::count) {
    typename D::Narrow narrow;
    __builtin_memcpy(&narrow, lanes + lane, sizeof(narrow));
    const typename D::Vector term = __builtin_convertvector(narrow, typename D::Vector);
    const typename D::Vector below = term > limit ? limit : term;
    const typename D::Vector held = below < -limit ? -limit : below;
    sum += (held + grid.magic()) - grid.magic();
  }
  double total = 0.0;
  for (int lane = 0; lane < D::count; ++lane) total += sum[lane];
  return total;
}

/// Calls work.operator()<R, Q>(column) for every group of columns, R the channels of the block.
template <class T, int R, int Q, class Work>
RELGRAD_INLINE void with_columns(Count together, Count column, const Work& work) {
  if constexpr (Q > 1) {
    if (together < Q) return with_columns<T, R, Q - 1>(together, column, work);
  }
  work.template operator()<R, Q>(column);
}
template <class T, int R, class Work>
RELGRAD_INLINE void for_each_group(Count channels, Count begin, Count end, const Work& work) {
  if constexpr (R > 1) {
    if (channels < R) return for_each_group<T, R - 1>(channels, begin, end, work);
  }
  for (Count column = begin, together = 0; column < end; column += together) {
    together = next_together(end - column, most_together(R));
    with_columns<T, R, most_together(R)>(together, column, work);
  }
}

/// Sum over the positions of one channel of a padded tile.
template <class T>
RELGRAD_INLINE typename Lanes<T>::Vector plane_sum(const ConvolutionPlanes& planes,
                                                   const T* plane) {
  constexpr int lanes = Lanes<T>::count;
  const Count halo = planes.halo();
  typename Lanes<T>::Vector sum = {};
  for (Count h = 0; h < planes.height; ++h) {
    const T* row = plane + ((h + halo) * planes.padded_width() + halo) * lanes;
    for (Count w = 0; w < planes.width; ++w) sum += load<T>(row + w * lanes);
  }
  return sum;
}

template <class T>
void correlate(const ConvolutionPlanes& planes, const CorrelationBlock& block, Count tiles,
               const T* delta, Count delta_stride, const T* x, Count x_stride, T* sums, T* bias) {
  const Count square = planes.taps * planes.taps;
  const Count columns = block.channels_in * square;
  const Count plane_size = planes.padded_size() * Lanes<T>::count;
  const T* first = delta + block.first_channel * plane_size;
  for_each_group<T, convolution_block>(
      block.channels, block.first_in * square,
      block.last_in * square, [&]<int R, int Q>(Count column) __attribute__((always_inline)) {
        typename Lanes<T>::Vector sum[R][Q] = {};
        for (Count tile = 0; tile < tiles; ++tile) {
          correlate_tile<T, R, Q>(planes, first + tile * delta_stride,
                                  columns_from<T, Q>(planes, column, x + tile * x_stride), sum);
        }
        for (int r = 0; r < R; ++r) {
          T* to = sums + (block.first_channel + r) * columns + column;
          for (int q = 0; q < Q; ++q) to[q] += lane_sum<T>(sum[r][q]);
        }
      });
  for (Count r = 0; block.first_in == 0 && r < block.channels; ++r) {
    typename Lanes<T>::Vector sum = {};
    for (Count tile = 0; tile < tiles; ++tile) {
      sum += plane_sum<T>(planes, first + tile * delta_stride + r * plane_size);
    }
    bias[block.first_channel + r] += lane_sum<T>(sum);
  }
}

template <class T>
void correlate_exact(const ConvolutionPlanes& planes, const CorrelationBlock& block, const T* delta,
                     const T* x, const ExactGrid& grid, double* sums, double* bias) {
  const Count square = planes.taps * planes.taps;
  const Count columns = block.channels_in * square;
  const Count plane_size = planes.padded_size() * Lanes<T>::count;
  const T* first = delta + block.first_channel * plane_size;
  for_each_group<T, convolution_block>(
      block.channels, block.first_in * square,
      block.last_in * square, [&]<int R, int Q>(Count column) __attribute__((always_inline)) {
        typename Lanes<T>::Vector sum[R][Q] = {};
        correlate_tile<T, R, Q>(planes, first, columns_from<T, Q>(planes, column, x), sum);
        for (int r = 0; r < R; ++r) {
          double* to = sums + (block.first_channel + r) * columns + column;
          for (int q = 0; q < Q; ++q) to[q] += exact_lane_sum<T>(sum[r][q], grid);
        }
      });
  for (Count r = 0; block.first_in == 0 && r < block.channels; ++r) {
    bias[block.first_channel + r] +=
        exact_lane_sum<T>(plane_sum<T>(planes, first + r * plane_size), grid);
  }
}

template <class T>
constexpr ConvolutionKernels<T> all_kernels() {
  return {Lanes<T>::count, gather<T>, scatter<T>, convolve<T>, correlate<T>, correlate_exact<T>};
}
