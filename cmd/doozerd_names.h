// The name service of --boot-uri: a client of another Doozer cluster, of ours or of the original's,
// on the server's own loop. The files are those of the original (server/name_service.h).
//
// It must never let two servers make the same cluster: /ctl/boot/NAME is written by a
// compare-and-set on a missing file, and only who finds itself there may boot.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "client/core.h"
#include "doozer/types.h"
#include "env/clock.h"
#include "env/net.h"
#include "server/name_service.h"

namespace doozer::cmd {

/// What --boot-uri says, with --cluster.
struct NameServiceTarget {
  Options client;       ///< of the name service
  std::string cluster;  ///< to be found there: cn, else --cluster
};
/// `cluster` is --cluster; cn may stand beside it if that is left at its default. Errors:
/// bad_argument (the URI, no address in it, a name that is none, two names).
Result<NameServiceTarget> parse_boot_uri(std::string_view uri, std::string_view cluster);

class ClientNames final : public server::NameService {
 public:
  /// `clock` and `net` outlive it. Errors: bad_argument (options).
  static Result<std::unique_ptr<ClientNames>> make(env::Clock& clock, env::Net& net,
                                                   NameServiceTarget target, uint64_t seed,
                                                   const Logger& logger);
  ~ClientNames() override;

  void find(const Identity& self, const std::string& address,
            UniqueFunction<void(const Finding&)> then) override;
  void settled() override;
  void publish(const Identity& self, const std::string& address) override;
  void stop() override;

 private:
  ClientNames(env::Clock& clock, std::string cluster, const Logger& logger)
      : clock_(clock), cluster_(std::move(cluster)), logger_(logger) {}
  bool searching() const { return searching_ && !stopped_; }
  std::string entry() const { return "/ctl/ns/" + cluster_ + "/" + self_; }
  std::string first() const { return "/ctl/boot/" + cluster_; }

  // The search, step by step; each ends in again() or tell().
  void look();
  void on_listed(Result<Files> files);
  void on_first(Result<File> first);
  void stand();
  void on_elected(Result<int64_t> elected);
  void withdraw();
  void tell(bool may_boot);
  // Members.
  void check_entry();
  void on_entry(Result<File> file);
  // Both.
  void again(uint64_t after_us);
  void failed(std::string_view doing, const Error& error);
  void reached();

  // Fixed after construction.
  env::Clock& clock_;
  const std::string cluster_;
  Logger logger_;
  std::unique_ptr<client::Core> core_;

  // Volatile.
  std::string self_;
  std::string address_;
  UniqueFunction<void(const Finding&)> then_;
  bool searching_ = false;
  std::vector<std::string> found_;  ///< addresses of the look that is under way
  std::optional<Finding> told_;
  uint64_t first_look_us_ = 0;
  bool standing_ = false;  ///< our entry may be there for the election alone
  bool publishing_ = false;
  bool stopped_ = false;
  bool unreachable_ = false;  ///< and the log says so
  env::TimerId timer_ = 0;
};

}  // namespace doozer::cmd
