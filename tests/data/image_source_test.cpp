#include <gmock/gmock.h>
#include <gtest/gtest.h>

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"
#include <stb/stb_image_write.h>
#pragma GCC diagnostic pop

#include "data/sample_files.hpp"
#include "data/sample_source.hpp"
#include "image/decode.hpp"
#include "support/temporary_directory.hpp"

namespace relgrad {
namespace {

using test::message_of;
using test::pattern_bytes;
using test::pgm;
using test::ppm;
using test::tar;
using test::TemporaryDirectory;
using test::write_file;
using test::fs::path;
using testing::ElementsAre;
using testing::HasSubstr;

std::string read_all(SampleSource& source) {
  std::string bytes(source.rows() * source.row_bytes(), '\0');
  source.next(source.rows(), reinterpret_cast<std::byte*>(bytes.data()), nullptr);
  return bytes;
}

TEST(ImageFolder, IsReadInTheOrderOfPathsIntoPlanes) {
  const TemporaryDirectory directory;
  write_file(directory.path() / "b.ppm", ppm(2, 1, "RGBrgb"));
  write_file(directory.path() / "a" / "z.PGM", pgm(2, 1, "xy"));
  write_file(directory.path() / "notes.txt", "not an image");
  write_file(directory.path() / "._b.png", "rubbish of another system");

  const auto source = open_source(directory.path(), {});

  EXPECT_EQ(source->rows(), 2U);
  EXPECT_THAT(source->sample_shape(), ElementsAre(3, 1, 2));  // colour, since one image has it
  EXPECT_EQ(read_all(*source), "xyxyxyRrGgBb");
}

TEST(ImageFolder, GivesOneChannelWhenAllAreGreyOrGreyIsAskedFor) {
  const TemporaryDirectory directory;
  write_file(directory.path() / "grey" / "a.pgm", pgm(2, 2, "abcd"));
  write_file(directory.path() / "colour" / "a.ppm", ppm(1, 1, "\x80\x80\x80"));

  const auto grey = open_source(directory.path() / "grey", {});
  const auto asked = open_source(directory.path() / "colour",
                                 {.size = {}, .grey = true, .class_names = {}, .scratch = {}});

  EXPECT_THAT(grey->sample_shape(), ElementsAre(1, 2, 2));
  EXPECT_EQ(read_all(*grey), "abcd");
  EXPECT_THAT(asked->sample_shape(), ElementsAre(1, 1, 1));
  EXPECT_NEAR(static_cast<unsigned char>(read_all(*asked)[0]), 0x80, 1);
}

TEST(ImageFolder, ReadsPngExactlyAndJpegNearly) {
  const TemporaryDirectory directory;
  std::string pixels(16 * 16 * 3, '\0');
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<char>(40 + i / 6);
  stbi_write_png((directory.path() / "a.png").c_str(), 16, 16, 3, pixels.data(), 48);
  stbi_write_jpg((directory.path() / "b.jpg").c_str(), 16, 16, 3, pixels.data(), 95);

  const std::string read = read_all(*open_source(directory.path(), {}));

  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t i = 0; i < 256; ++i) {
      EXPECT_EQ(read[c * 256 + i], pixels[i * 3 + c]);
      EXPECT_NEAR(static_cast<unsigned char>(read[768 + c * 256 + i]),
                  static_cast<unsigned char>(pixels[i * 3 + c]), 6);
    }
  }
}

TEST(ImageFolder, RefusesMixedSizesNamingBothUnlessOneIsAskedFor) {
  const TemporaryDirectory directory;
  write_file(directory.path() / "a.pgm", pgm(2, 2, "aaaa"));
  write_file(directory.path() / "b.pgm", pgm(4, 2, "bbbbbbbb"));

  const std::string trouble = message_of<DataError>([&] { open_source(directory.path(), {}); });
  const auto sized =
      open_source(directory.path(), {.size = ImageSize{1, 1}, .class_names = {}, .scratch = {}});

  EXPECT_THAT(trouble, HasSubstr("a.pgm is 2x2"));
  EXPECT_THAT(trouble, HasSubstr("b.pgm is 2x4"));
  EXPECT_THAT(trouble, HasSubstr("--size"));
  EXPECT_EQ(read_all(*sized), "ab");
}

TEST(ImageFolder, RefusesAFolderWithoutImagesAndADamagedImage) {
  const TemporaryDirectory directory;
  write_file(directory.path() / "empty" / "notes.txt", "");
  write_file(directory.path() / "broken" / "a.png", "not a png");
  write_file(directory.path() / "cut" / "a.ppm", ppm(4, 4, "too few"));

  const auto trouble = [&](const char* folder) {
    return message_of<DataError>([&] { read_all(*open_source(directory.path() / folder, {})); });
  };

  EXPECT_THAT(trouble("empty"), HasSubstr("no images in this folder"));
  EXPECT_THAT(trouble("broken"), HasSubstr("a.png: not a PNG"));
  EXPECT_THAT(trouble("cut"), HasSubstr("a.ppm: damaged image"));
}

TEST(ImageFolder, RefusesEveryKindOfImageThatWasCut) {
  const TemporaryDirectory directory;
  std::string pixels(64 * 64 * 3, '\0');
  for (std::size_t i = 0; i < pixels.size(); ++i) pixels[i] = static_cast<char>(i / 64);
  stbi_write_png((directory.path() / "a.png").c_str(), 64, 64, 3, pixels.data(), 192);
  stbi_write_jpg((directory.path() / "a.jpg").c_str(), 64, 64, 3, pixels.data(), 95);
  write_file(directory.path() / "a.pgm",
             "P5 # a comment with 7 digits\n64 64 255\n" + pattern_bytes(64 * 64));

  for (const std::string name : {"a.png", "a.jpg", "a.pgm"}) {
    const std::string bytes = test::file_bytes(directory.path() / name);
    const path folder = directory.path() / name.substr(2);
    write_file(folder / name, bytes);
    EXPECT_NO_THROW(read_all(*open_source(folder, {}))) << name;

    for (const std::size_t missing : {std::size_t{1}, std::size_t{20}, bytes.size() / 8}) {
      write_file(folder / name, bytes.substr(0, bytes.size() - missing));
      const std::string trouble =
          message_of<DataError>([&] { read_all(*open_source(folder, {})); });
      EXPECT_THAT(trouble, HasSubstr("damaged image")) << name << " without " << missing;
    }
  }
}

/// The pixels of one image file named NAME, in a folder of its own.
std::string pixels_of(const std::string& name, const std::string& bytes) {
  const TemporaryDirectory directory;
  write_file(directory.path() / name, bytes);
  return read_all(*open_source(directory.path(), {}));
}
std::string trouble_with(const std::string& name, const std::string& bytes) {
  return message_of<DataError>([&] { pixels_of(name, bytes); });
}

std::string png_of(int height, int width, const std::string& pixels) {
  const TemporaryDirectory directory;
  const path file = directory.path() / "a.png";
  stbi_write_png(file.c_str(), width, height, 1, pixels.data(), width);
  return test::file_bytes(file);
}

TEST(Pnm, IsScaledFromAnyLargestValueAsPillowDoes) {
  const std::string two_bytes("\x00\x00\x7F\xFF\x80\x00\xFF\xFF", 8);

  EXPECT_EQ(pixels_of("a.pgm", "P5 4 1 65535\n" + two_bytes), std::string("\0\x7F\x80\xFF", 4));
  EXPECT_EQ(pixels_of("a.pgm", std::string("P5 2 1 1023\n\x02\x00\x03\xFF", 16)), "\x80\xFF");
  EXPECT_EQ(pixels_of("a.pgm", std::string("P5 4 1 15\n\0\5\12\17", 14)),
            std::string("\0\x55\xAA\xFF", 4));
  EXPECT_EQ(pixels_of("a.ppm", std::string("P6 1 1 256\n\x01\x00\x00\x80\x00\x00", 17)),
            std::string("\xFF\x80\0", 3));
  EXPECT_EQ(pixels_of("a.pgm", "P5 3 1 6\n\1\3\5"), "\x2A\x80\xD4");  // halves to even: 42.5
}

TEST(Pnm, IsReadPlainAndAsBitmapWithCommentsAnywhere) {
  EXPECT_EQ(pixels_of("a.pgm", "P2 # plain\n2 #two\n1\n255\n 7 \t 255\n"), "\x07\xFF");
  EXPECT_EQ(pixels_of("a.ppm", "P3 1 1 3 0 1 3"), std::string("\0\x55\xFF", 3));
  EXPECT_EQ(pixels_of("a.pbm", "P1 3 2\n101\n0 1 0"), std::string("\0\xFF\0\xFF\0\xFF", 6));
  EXPECT_EQ(pixels_of("a.pbm", std::string("P4 9 1\n\xA0\x80", 9)),
            std::string("\0\xFF\0\xFF\xFF\xFF\xFF\xFF\0", 9));
}

TEST(Pnm, RefusesWhatMakesNoSense) {
  EXPECT_THAT(trouble_with("a.pgm", "P5 0 7 255\n"), HasSubstr("a.pgm: not a PNG"));
  EXPECT_THAT(trouble_with("a.pgm", "P5 2 2 0\nabcd"), HasSubstr("not a PNG"));
  EXPECT_THAT(trouble_with("a.pgm", "P5 2 2 65536\nabcdabcd"), HasSubstr("not a PNG"));
  EXPECT_THAT(trouble_with("a.pgm", "P5 2 1 9\n\1\12"), HasSubstr("a pixel is 10, above"));
  EXPECT_THAT(trouble_with("a.pgm", "P5 3000 3000 255\nab"), HasSubstr("cannot hold"));
  EXPECT_THAT(trouble_with("a.pgm", "P5 2 1 255\nabP5 2 1 255\ncd"), HasSubstr("second image"));
}

TEST(Png, RefusesAnyFlippedBit) {
  const std::string whole = png_of(24, 24, pattern_bytes(576));
  EXPECT_EQ(pixels_of("a.png", whole), pattern_bytes(576));

  for (std::size_t bit = 0; bit < 8 * whole.size(); bit += 61) {
    std::string bytes = whole;
    bytes[bit / 8] = static_cast<char>(bytes[bit / 8] ^ (1 << (bit % 8)));
    EXPECT_NE(trouble_with("a.png", bytes), "") << "bit " << bit;
  }
}

TEST(Images, AreTurnedAsExifSays) {
  const Image stored{{2, 3}, 1, {'a', 'b', 'c', 'd', 'e', 'f'}};
  const auto shown = [&](int orientation) {
    const Image image = turned_upright(stored, orientation);
    return std::string(image.pixels.begin(), image.pixels.end());
  };

  EXPECT_EQ(shown(1), "abcdef");
  EXPECT_EQ(shown(2), "cbafed");  // mirrored
  EXPECT_EQ(shown(3), "fedcba");  // half a turn
  EXPECT_EQ(shown(4), "defabc");
  EXPECT_EQ(shown(5), "adbecf");
  EXPECT_EQ(shown(6), "daebfc");  // a quarter clockwise
  EXPECT_EQ(shown(7), "fcebda");
  EXPECT_EQ(shown(8), "cfbead");
  EXPECT_EQ(turned_upright(stored, 6).size.height, 3);
}

TEST(ImageFolder, SkipsHiddenFoldersAndReadsAFolderOnceWhateverLinksLeadToIt) {
  const TemporaryDirectory directory;
  const path folder = directory.path() / "f";
  write_file(folder / "real" / "a.pgm", pgm(2, 1, "aa"));
  write_file(folder / ".ipynb_checkpoints" / "a.pgm", pgm(2, 1, "xx"));
  write_file(folder / "@eaDir" / "a.pgm", pgm(2, 1, "xx"));
  write_file(directory.path() / "outside.pgm", pgm(2, 1, "xx"));
  test::fs::create_directory_symlink(".", folder / "self");
  test::fs::create_directory_symlink("real", folder / "latest");
  test::fs::create_directory_symlink("..", folder / "up");

  EXPECT_EQ(read_all(*open_source(folder, {})), "aa");
}

TEST(ImageFolder, ReadsLinksToFilesAndNamesThoseThatLeadNowhere) {
  const TemporaryDirectory directory;
  write_file(directory.path() / "store" / "object", pgm(2, 1, "oo"));
  const path folder = directory.path() / "f";
  test::fs::create_directories(folder);
  test::fs::create_symlink("../store/object", folder / "a.pgm");
  EXPECT_EQ(read_all(*open_source(folder, {})), "oo");

  const std::vector<std::string> targets{"gone", "b.png", std::string(300, 'n')};
  for (const std::string& target : targets) {
    test::fs::create_symlink(target, folder / "b.png");
    const std::string trouble = message_of<DataError>([&] { open_source(folder, {}); });
    EXPECT_THAT(trouble, HasSubstr("b.png: a link that cannot be read")) << target;
    test::fs::remove(folder / "b.png");
  }
}

TEST(ImageFolder, LeavesOutDamagedImagesWhereAsked) {
  const TemporaryDirectory directory;
  std::string damaged = png_of(8, 8, pattern_bytes(64));
  damaged[damaged.size() / 2] = static_cast<char>(damaged[damaged.size() / 2] ^ 4);
  write_file(directory.path() / "a.png", png_of(8, 8, std::string(64, 'a')));
  write_file(directory.path() / "b.png", damaged);
  write_file(directory.path() / "c.png", "no image");
  write_file(directory.path() / "d.png", png_of(8, 8, std::string(64, 'd')));

  SourceOptions options;
  options.skip_damaged = true;
  const auto source = open_source(directory.path(), options);

  EXPECT_EQ(read_all(*source), std::string(64, 'a') + std::string(64, 'd'));
  ASSERT_EQ(source->skipped().size(), 2U);
  EXPECT_THAT(source->skipped()[0], HasSubstr("b.png: damaged image"));
  EXPECT_THAT(source->skipped()[1], HasSubstr("c.png: damaged image: not a PNG"));
}

TEST(ImageFolder, LabelsByFirstFolderInTheOrderOfTheTrainingSplit) {
  const TemporaryDirectory directory;
  for (const char* name : {"cat/1.pgm", "cat/x/2.pgm", "dog/1.pgm"}) {
    write_file(directory.path() / name, pgm(1, 1, "x"));
  }
  SourceOptions options;
  options.class_folders = true;
  const auto labels_of = [&] {
    const auto source = open_source(directory.path(), options);
    std::vector<std::byte> samples(source->rows());
    std::vector<std::int64_t> labels(source->rows());
    source->next(source->rows(), samples.data(), labels.data());
    return labels;
  };

  EXPECT_THAT(labels_of(), ElementsAre(0, 0, 1));
  options.class_names = {"dog", "cat"};
  EXPECT_THAT(labels_of(), ElementsAre(1, 1, 0));
  options.class_names = {"dog"};
  EXPECT_THAT(message_of<DataError>([&] { labels_of(); }), HasSubstr("class folder 'cat' is none"));
}

/// An archive that the program `tar` makes of `folder`; "" if it is not there or cannot.
path make_archive(const path& folder, const std::string& name, const std::string& options) {
  const path archive = folder.parent_path() / name;
  const std::string command = "tar -C '" + folder.string() + "' " + options + " -cf '" +
                              archive.string() + "' . 2> /dev/null";
  return std::system(command.c_str()) == 0 ? archive : path();
}

TEST(ImageArchive, IsReadInTheOrderOfPathsWithLongNamesHoweverItIsCompressed) {
  const TemporaryDirectory directory;
  const std::string long_name = "deep/" + std::string(120, 'n') + ".pgm";
  const std::string archive = tar({{"z.pgm", pgm(2, 1, "zz")},
                                   {long_name, pgm(2, 1, "dd")},
                                   {"README", "not an image"},
                                   {"a.pgm", pgm(2, 1, "aa")}});
  const path plain = write_file(directory.path() / "images.tar", archive);
  const path compressed = test::write_gz(directory.path() / "images.tar.gz", archive);

  EXPECT_EQ(read_all(*open_source(plain, {})), "aaddzz");
  EXPECT_EQ(read_all(*open_source(compressed, {})), "aaddzz");
}

TEST(ImageArchive, HoldsWhatUnpackingWouldLeave) {
  const TemporaryDirectory directory;
  const path folder = directory.path() / "f";
  write_file(folder / "a.pgm", pgm(2, 1, "aa"));
  write_file(folder / "sub" / "z.pgm", pgm(2, 1, "zz"));
  write_file(folder / ".hidden" / "h.pgm", pgm(2, 1, "hh"));
  test::fs::create_hard_link(folder / "a.pgm", folder / "b.pgm");
  test::fs::create_symlink("sub/z.pgm", folder / "c.pgm");
  test::fs::create_directory_symlink("sub", folder / "way");
  test::fs::create_symlink("way/z.pgm", folder / "d.pgm");
  const std::vector<std::pair<std::string, std::string>> kinds{
      {"x.tar", ""},      {"p.tar", "--format=pax"}, {"x.tar.gz", "-z"},
      {"x.tar.xz", "-J"}, {"x.tar.zst", "--zstd"},   {"s.tar", "-S"}};
  for (const auto& [name, options] : kinds) {
    const path archive = make_archive(folder, name, options);
    if (archive.empty()) continue;  // its compressor is not installed
    EXPECT_EQ(read_all(*open_source(archive, {})), "aaaazzzzzz") << name;
  }
}

TEST(ImageArchive, TakesTheLastMemberOfANameAndRefusesLinksThatLeadNowhere) {
  const TemporaryDirectory directory;
  const path twice = write_file(directory.path() / "twice.tar",
                                tar({{"a.pgm", pgm(2, 1, "aa")}, {"./a.pgm", pgm(2, 1, "bb")}}));
  EXPECT_EQ(read_all(*open_source(twice, {})), "bb");

  const path folder = directory.path() / "f";
  write_file(folder / "a.pgm", pgm(2, 1, "aa"));
  test::fs::create_symlink("gone.pgm", folder / "b.pgm");
  const path archive = make_archive(folder, "links.tar", "");
  if (archive.empty()) GTEST_SKIP() << "no program tar";
  EXPECT_THAT(message_of<DataError>([&] { open_source(archive, {}); }),
              HasSubstr("b.pgm is a link to gone.pgm, which the archive does not hold"));
}

TEST(ImageArchive, RefusesATruncatedAnEmptyAndAFalseArchive) {
  const TemporaryDirectory directory;
  const std::string archive = tar({{"a.pgm", pgm(30, 30, pattern_bytes(900))}});
  const auto trouble = [&](const std::string& bytes) {
    const path file = write_file(directory.path() / "x.tar", bytes);
    return message_of<DataError>([&] { open_source(file, {}); });
  };

  EXPECT_THAT(trouble(archive.substr(0, 900)), HasSubstr("truncated"));
  EXPECT_THAT(trouble(archive.substr(0, archive.size() - 1024)), HasSubstr("truncated"));
  EXPECT_THAT(trouble(tar({{"notes.txt", "hello"}})), HasSubstr("no images in this archive"));
  EXPECT_THAT(trouble(pattern_bytes(2000)), HasSubstr("not a tar or zip archive"));
  EXPECT_THAT(trouble(""), HasSubstr("not a tar or zip archive"));
}

Image ramp(Index height, Index width) {
  Image image{{height, width}, 1, {}};
  for (Index i = 0; i < height * width; ++i) {
    image.pixels.push_back(static_cast<std::uint8_t>(10 * (i % width)));
  }
  return image;
}

TEST(CropAndResize, TakesTheMeanOverTheAreaWhenShrinking) {
  const Image image{{2, 4}, 1, {0, 10, 100, 200, 20, 30, 0, 100}};

  const Image small = crop_and_resize(image, {1, 2});

  EXPECT_THAT(small.pixels, ElementsAre(15, 100));
}

TEST(CropAndResize, CutsTheCentreToTheAspectRatio) {
  const Image wide = crop_and_resize(ramp(2, 6), {2, 2});
  const Image whole = crop_and_resize(ramp(4, 6), {4, 6});

  EXPECT_THAT(wide.pixels, ElementsAre(20, 30, 20, 30));
  EXPECT_EQ(whole.pixels, ramp(4, 6).pixels);
}

TEST(CropAndResize, InterpolatesLinearlyWhenGrowing) {
  const Image large = crop_and_resize(ramp(1, 4), {2, 8});

  // Output centres lie at 0.25, 0.75, ... input pixels; input centres at 0.5, 1.5, ...
  EXPECT_THAT(large.pixels, ElementsAre(0, 3, 8, 13, 18, 23, 28, 30, 0, 3, 8, 13, 18, 23, 28, 30));
}

TEST(CropAndResize, KeepsAConstantImageConstantAtAnySize) {
  const Image image{{7, 5}, 3, std::vector<std::uint8_t>(7 * 5 * 3, 137)};

  for (const ImageSize& size : {ImageSize{3, 3}, ImageSize{1, 9}, ImageSize{11, 13}}) {
    for (const std::uint8_t pixel : crop_and_resize(image, size).pixels) EXPECT_EQ(pixel, 137);
  }
}

}  // namespace
}  // namespace relgrad
