// Keeps a local copy of one file of a Doozer cluster: writes it, then follows every change, and may
// run a command after each. What a daemon without a Doozer client of its own needs to be configured
// from Doozer.
//
// The pattern, which every follower of a file or tree has:
//   1. learn the store's revision,
//   2. read the state as of exactly that revision,
//   3. watch from the revision after it: no change is missed, none is seen twice,
//   4. when the watch is too late (this program slept longer than the history reaches), begin anew.
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <string>
#include <string_view>

#include <doozer/client.h>

namespace {

constexpr std::string_view kUsage =
    "usage: watch_config [--once] URI PATH LOCAL-FILE [COMMAND]\n"
    "\n"
    "Keeps LOCAL-FILE the same as the file PATH of the Doozer cluster at URI, such as\n"
    "doozer:?ca=127.0.0.1:8046, and runs COMMAND with the shell after each change.\n"
    "While PATH does not exist LOCAL-FILE is left as it is.\n"
    "\n"
    "  --once  writes LOCAL-FILE once and ends; exits by 1 if PATH does not exist\n";

struct Job {
  std::string path;
  std::string local_file;
  std::string command;
};

/// Readers see the old content or the new one, never a part.
bool replace_file(const std::string& name, const std::string& content) {
  const std::string temporary = name + ".tmp";
  std::FILE* file = std::fopen(temporary.c_str(), "wb");
  if (file == nullptr) return false;
  const bool written = std::fwrite(content.data(), 1, content.size(), file) == content.size();
  const bool closed = std::fclose(file) == 0;
  return written && closed && std::rename(temporary.c_str(), name.c_str()) == 0;
}

bool apply(const Job& job, const std::string& content, int64_t revision) {
  if (!replace_file(job.local_file, content)) {
    std::cerr << "watch_config: cannot write " << job.local_file << "\n";
    return false;
  }
  std::cout << job.local_file << " is " << job.path << " of revision " << revision << std::endl;
  if (!job.command.empty() && std::system(job.command.c_str()) != 0) {
    std::cerr << "watch_config: the command failed\n";
  }
  return true;
}

int complain(const doozer::Error& error) {
  std::cerr << "watch_config: " << error.message << "\n";
  return EXIT_FAILURE;
}

/// Steps 1 and 2. The revision up to which everything is known.
doozer::Result<int64_t> copy_once(doozer::Client& client, const Job& job, bool& exists) {
  const doozer::Result<int64_t> revision = client.rev();
  if (!revision) return revision;
  const doozer::Result<doozer::File> file = client.get(job.path, {.revision = *revision});
  if (!file) return tl::unexpected(file.error());
  exists = file->exists();
  if (exists && !apply(job, file->value, file->revision)) {
    return doozer::fail(doozer::Code::io_error, "the local file could not be written");
  }
  return revision;
}

/// Steps 3 and 4. Ends only with an error.
int follow(doozer::Client& client, const Job& job) {
  for (;;) {
    bool exists = false;
    const doozer::Result<int64_t> revision = copy_once(client, job, exists);
    if (!revision) return complain(revision.error());
    doozer::Result<doozer::Watch> watch = client.watch(job.path, {*revision + 1, 0});
    if (!watch) return complain(watch.error());
    for (;;) {
      const doozer::Result<doozer::Event> event = watch->next();
      if (!event && event.error().code == doozer::Code::too_late) break;
      if (!event) return complain(event.error());
      if (event->kind != doozer::Event::Kind::set) continue;
      if (!apply(job, event->value, event->position.revision)) return EXIT_FAILURE;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  constexpr int kUsageError = 2;
  int first = 1;
  const std::string_view option = argc > 1 ? argv[1] : "";
  if (option == "--help") {
    std::cout << kUsage;
    return EXIT_SUCCESS;
  }
  const bool once = option == "--once";
  if (once) ++first;
  if (argc - first < 3 || argc - first > 4) {
    std::cerr << kUsage;
    return kUsageError;
  }
  const Job job{argv[first + 1], argv[first + 2], argc - first == 4 ? argv[first + 3] : ""};

  doozer::Result<doozer::Options> options = doozer::parse_uri(argv[first]);
  if (!options) return complain(options.error());
  options->wait_for_server = !once;
  doozer::Result<doozer::Client> client = doozer::Client::connect(*options);
  if (!client) return complain(client.error());
  if (!once) return follow(*client, job);

  bool exists = false;
  const doozer::Result<int64_t> revision = copy_once(*client, job, exists);
  if (!revision) return complain(revision.error());
  if (!exists) std::cerr << "watch_config: " << job.path << " does not exist\n";
  return exists ? EXIT_SUCCESS : EXIT_FAILURE;
}
