// Certificates and trust, ready for use by TLS streams.
//
// A server's main makes one TlsServer, gives it to its RealNet, calls reload() on SIGHUP, and may
// watch not_after_s() to warn before the certificate expires. TLS 1.3 only, at both ends.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "env/net.h"

struct ssl_ctx_st;

namespace doozer::io {

/// Shared by the streams that were made with it, so that it may be replaced at any time.
using TlsContext = std::shared_ptr<ssl_ctx_st>;

struct TlsServerConfig {
  std::string cert_file{};              ///< PEM: the certificate, then its chain
  std::string key_file{};               ///< PEM, not encrypted
  std::string client_ca_file{};         ///< PEM; if given, clients prove themselves by these, ...
  bool clients_may_be_unknown = false;  ///< ... or show no certificate at all
};

class TlsServer {
 public:
  /// Reads and checks all files. Errors: bad_argument, naming the file and the reason (unreadable,
  /// no PEM, the key does not belong to the certificate).
  static Result<std::unique_ptr<TlsServer>> load(TlsServerConfig config);
  /// Reads the files again: handshakes from now on use what they hold. After an error everything
  /// stays as it was.
  Result<void> reload();
  /// Until when the certificate is valid, in seconds since 1970; in the past if it has expired.
  int64_t not_after_s() const { return not_after_s_; }
  const TlsServerConfig& config() const { return config_; }
  const TlsContext& context() const { return context_; }

 private:
  explicit TlsServer(TlsServerConfig config) : config_(std::move(config)) {}
  const TlsServerConfig config_;
  TlsContext context_;
  int64_t not_after_s_ = 0;
};

/// The contexts of dialled streams, kept as long as the files that they come from do not change.
class TlsClients {
 public:
  /// Errors: bad_argument, naming the file and the reason.
  Result<TlsContext> context(const env::DialOptions& options);

 private:
  std::vector<std::pair<std::string, TlsContext>> kept_;  // by files and their times
};

/// The oldest error of OpenSSL's queue of this thread as text, and clears the queue.
std::string take_tls_error();

}  // namespace doozer::io
