// Judges a history that was written down: doozer-check FILE, or - for standard input. The format is
// told in sim/history_text.h and docs/simulation-checkers.md.
//
// Exit: 0 all is right, 1 it is not, 2 the history cannot be read, 64 usage.
#include <array>
#include <cstdio>
#include <string>
#include <string_view>

#include "sim/checkers/judge.h"
#include "sim/history_text.h"

namespace {

constexpr int kBad = 1;
constexpr int kUnreadable = 2;
constexpr int kUsage = 64;

bool read_all(std::FILE* file, std::string& text) {
  std::array<char, 65'536> buffer{};
  for (;;) {
    const size_t size = std::fread(buffer.data(), 1, buffer.size(), file);
    text.append(buffer.data(), size);
    if (size < buffer.size()) return std::ferror(file) == 0;
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) {
    std::fputs("usage: doozer-check FILE   (- for standard input)\n", stderr);
    return kUsage;
  }
  const std::string_view name = argv[1];
  std::FILE* file = name == "-" ? stdin : std::fopen(argv[1], "rb");
  std::string text;
  if (file == nullptr || !read_all(file, text)) {
    std::fprintf(stderr, "doozer-check: cannot read %s\n", argv[1]);
    return kUnreadable;
  }
  if (file != stdin) std::fclose(file);
  const auto history = doozer::sim::parse_history(text);
  if (!history) {
    std::fprintf(stderr, "doozer-check: %s: %s\n", argv[1], history.error().message.c_str());
    return kUnreadable;
  }
  const doozer::sim::Verdict verdict = doozer::sim::judge(*history);
  std::fputs(verdict.to_string().c_str(), stdout);
  return verdict.ok() ? 0 : kBad;
}
