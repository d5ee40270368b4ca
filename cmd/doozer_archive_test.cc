#include "cmd/doozer_archive.h"

#include <gtest/gtest.h>

namespace doozer::cli {
namespace {

std::string archive_of(const std::vector<File>& files) {
  ArchiveWriter writer;
  std::string bytes = writer.head("/", 99);
  for (const File& file : files) bytes += writer.file(file);
  return bytes + writer.end();
}

const std::vector<File> kFiles = {
    {.path = "/a", .value = "hello\n", .revision = 3},
    {.path = "/b/é", .value = std::string("\0\xFF\r\n\x7F", 5), .revision = 4},
    {.path = "/c", .value = "", .revision = 5},
};

TEST(DoozerArchive, KeepsEveryByte) {
  std::vector<File> files = kFiles;
  std::string all;
  for (int byte = 0; byte < 256; ++byte) {
    all += static_cast<char>(byte);
    files.push_back({.path = "/byte/" + std::to_string(byte),
                     .value = std::string(1, static_cast<char>(byte)),
                     .revision = 6});
  }
  files.push_back({.path = "/all", .value = all, .revision = 7});
  const auto parsed = parse_archive(archive_of(files));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->path, "/");
  EXPECT_EQ(parsed->revision, 99);
  EXPECT_EQ(parsed->files, files);
}

TEST(DoozerArchive, ItsFormStaysAsItIs) {
  EXPECT_EQ(archive_of({kFiles[0], {.path = "/k", .value = "\xFF", .revision = 9}}),
            "{\"doozer_export\":1,\"path\":\"/\",\"rev\":99}\n"
            "{\"path\":\"/a\",\"rev\":3,\"value\":\"hello\\n\"}\n"
            "{\"path\":\"/k\",\"rev\":9,\"value_base64\":\"/w==\"}\n"
            "{\"files\":2,\"crc32c\":\"6c5423e8\"}\n");
}

TEST(DoozerArchive, CutAnywhereItIsRefused) {
  const std::string whole = archive_of(kFiles);
  for (size_t size = 0; size < whole.size(); ++size) {
    EXPECT_FALSE(parse_archive(whole.substr(0, size))) << size;
  }
  EXPECT_TRUE(parse_archive(whole));
}

TEST(DoozerArchive, AnyChangedBitIsRefused) {
  const std::string whole = archive_of(kFiles);
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string changed = whole;
    changed[bit / 8] = static_cast<char>(changed[bit / 8] ^ (1 << bit % 8));
    const auto parsed = parse_archive(changed);
    // A changed letter's case in the checksum's digits, or in an unknown member, is harmless.
    if (parsed) {
      EXPECT_EQ(parsed->files, kFiles) << bit;
    }
  }
}

TEST(DoozerArchive, SaysWhatIsWrongAndWhere) {
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"", "line 0: cut off after this line: the end is missing"},
      {"hello\n", "line 1: no JSON object"},
      {"{}\n", "line 1: this is no export of doozer"},
      {"{\"doozer_export\":2}\n", "an export of format 2; this program reads 1"},
      {"{\"doozer_export\":1}\n{\"rev\":1}\n", "line 2: no path"},
      {"{\"doozer_export\":1}\n{\"path\":\"/a\"}\n", "line 2: neither value nor value_base64"},
      {"{\"doozer_export\":1}\n{\"path\":\"/a\",\"value_base64\":\"?\"}\n",
       "line 2: base64 is cut short"},
      {"{\"doozer_export\":1}\n{\"files\":1}\n",
       "line 2: the end counts 1 files, but 0 came before it"},
      {"{\"doozer_export\":1}\n{\"files\":0,\"crc32c\":\"00000000\"}\n",
       "line 2: the checksum does not fit: bytes were changed on the way"},
      {archive_of({}) + "{}\n", "line 3: something comes after the end"},
  };
  for (const auto& [bytes, message] : cases) {
    const auto parsed = parse_archive(bytes);
    ASSERT_FALSE(parsed) << bytes;
    EXPECT_EQ(parsed.error().message, message);
  }
}

}  // namespace
}  // namespace doozer::cli
