import Foundation
import RemoteCache
import Telemetry
import Vocabulary

/// The Redis beside the node.
package struct RedisSettings: Sendable, Equatable {
    package enum Mode: String, CaseIterable, Sendable { case single, cluster }

    /// `redis://` or `rediss://` addresses, separated by commas; nil: no Redis.
    package var url: String?
    package var mode = Mode.single
    /// Holds the password alone.
    package var passwordFile: String?
    /// Certificates in PEM that TLS trusts; nil: those of the system.
    package var trustedFile: String?
    /// First word of all keys.
    package var prefix = "martlet"
    /// How long a request may wait for Redis before its answer is computed.
    package var timeout: Duration = .milliseconds(3)
    /// Of each event loop to each server.
    package var connections = 1
    /// Changes of items reach all nodes.
    package var sharesItems = false
    /// Whether what is known of users is shared with other nodes.
    package var shareUsers = false
    /// This node's name among them; nil: host and port.
    package var node: String?
    /// How long a request waits for its user.
    package var userWait: Duration = .milliseconds(20)
    /// Of what is written of a user.
    package var userBytes = 64 << 10

    package init() {}

    /// The addresses of a text.
    static func addresses(_ text: String) throws(SettingFault) -> [RedisURL] {
        var urls: [RedisURL] = []
        for part in text.split(separator: ",") {
            do throws(RedisURL.Malformed) {
                let url = try RedisURL(String(part))
                guard url.password.isEmpty else {
                    throw RedisURL.Malformed(description: "holds a password; put it into redis.password_file")
                }
                urls.append(url)
            } catch {
                throw SettingFault(
                    expected:
                        "redis://[user@]HOST[:PORT][/DATABASE], rediss:// for TLS; the address \(error.description)")
            }
        }
        guard let first = urls.first else { throw SettingFault(expected: "redis://HOST[:PORT]") }
        guard urls.allSatisfy({ $0.isTLS == first.isTLS && $0.database == first.database && $0.user == first.user })
        else {
            throw SettingFault(expected: "addresses with the same user, database and TLS")
        }
        return urls
    }

    /// Prefixes that keys can be told apart by.
    static func prefix(_ text: String) throws(SettingFault) -> String {
        let isSound =
            !text.isEmpty && text.utf8.count <= 64
            && text.utf8.allSatisfy { $0 > 0x20 && $0 < 0x7F && $0 != UInt8(ascii: "{") && $0 != UInt8(ascii: "}") }
        guard isSound else { throw SettingFault(expected: "1 to 64 printable characters without spaces and braces") }
        return text
    }

    /// What a client is made from; nil where no Redis is set.
    ///
    /// - Throws: `RedisSetupFailure`, for a person.
    func makeConfiguration(nodeName: String) throws -> RedisConfiguration? {
        guard let url else { return nil }
        let urls: [RedisURL]
        do throws(SettingFault) {
            urls = try Self.addresses(url)
        } catch {
            throw RedisSetupFailure(description: "redis.url: expected \(error.expected)")
        }
        if urls.count > 1, mode == .single {
            throw RedisSetupFailure(
                description:
                    "redis.url names \(urls.count) servers, and redis.mode is single: name one, or set redis.mode: cluster"
            )
        }
        var configuration = RedisConfiguration(endpoints: urls.map(\.endpoint))
        configuration.isCluster = mode == .cluster
        configuration.user = urls[0].user
        configuration.database = urls[0].database
        configuration.connectionsPerNode = connections
        configuration.clientName = String(
            String.UnicodeScalarView(
                "martlet-\(nodeName)".unicodeScalars.map { $0.value > 0x20 && $0.value < 0x7F ? $0 : "_" }))
        if let passwordFile {
            guard FileManager.default.fileExists(atPath: passwordFile) else {
                throw RedisSetupFailure(description: "redis.password_file: there is no file '\(passwordFile)'")
            }
            guard let data = FileManager.default.contents(atPath: passwordFile),
                let text = String(data: data, encoding: .utf8)
            else {
                throw RedisSetupFailure(
                    description:
                        "redis.password_file: cannot read '\(passwordFile)' as text; is it this user's to read?")
            }
            configuration.password = text.trimmingCharacters(in: .newlines)
        }
        if urls[0].isTLS {
            do {
                configuration.tls = try RedisTLS.context(trustedFile: trustedFile)
            } catch {
                throw RedisSetupFailure(description: "redis.trusted_file '\(trustedFile ?? "")': \(error)")
            }
        }
        if let problem = configuration.problem() { throw RedisSetupFailure(description: "redis: \(problem)") }
        return configuration
    }
}

/// A Redis that cannot be set up as the configuration says.
package struct RedisSetupFailure: Error, Sendable, CustomStringConvertible {
    package let description: String
}

extension ServerConfiguration {
    /// Of everything that answers depend on beside bundle, user and request: nodes that differ in it do not share answers.
    var answerFingerprint: UInt64 {
        var words = [
            BuildInfo.version, index.rawValue, itemRows.rawValue, graphRows.rawValue, rankerPrecision.rawValue,
        ]
        words += ["\(recallMin)", "\(limits.kMax)", "\(events.types)", "\(events.seenAge)"]
        for (name, scenario) in orderedScenarios { words.append("\(name)=\(scenario)") }
        return XXH64.hash(words.joined(separator: "\n"))
    }
}
