import RemoteCache
import Telemetry
import TestSupport
import Testing

@testable import MartletServer

@Suite struct SharedAnswerTests {
    @Test("what was put in comes out, and any other bytes are an answer or none", arguments: 0..<300)
    func codec(seed: Int) {
        var generator = SeededGenerator(seed: UInt64(seed))
        func bytes(_ most: Int) -> ArraySlice<UInt8> {
            (0..<Int.random(in: 0...most, using: &generator)).map { _ in UInt8.random(in: 0...255, using: &generator) }[
                ...]
        }
        func word() -> UInt64 { UInt64.random(in: 0 ... .max, using: &generator) }
        let first = Int64.random(in: Int64.min...0, using: &generator)
        let answer = SharedAnswer(
            bundle: word(), generation: word(), configuration: word(),
            seconds: first...Int64.random(in: 0...Int64.max, using: &generator), request: bytes(80), answer: bytes(900))
        #expect(SharedAnswer(answer.encoded[...]) == answer, "seed \(seed)")
        #expect(SharedAnswer(answer.encoded.prefix(43)) == nil)
        // No bytes may crash it, wherever a slice of them begins.
        let changed = generator.mutated(answer.encoded)
        _ = SharedAnswer(changed.dropFirst(Int.random(in: 0...2, using: &generator)))
    }

    @Test("metrics name failures and misses as the client does")
    func labels() {
        #expect(RedisFailureReason.allCases.map(\.label) == RedisFailure.reasons)
        for miss in RemoteValue.Miss.allCases {
            #expect(SharedCacheMiss(rawValue: UInt8(miss.rawValue))?.label == miss.name)
        }
    }

    @Test("addresses are checked when they are read; keys and passwords are not to be in them")
    func settings() throws {
        #expect(try RedisSettings.addresses("redis://a:1,redis://b:2").map(\.endpoint.port) == [1, 2])
        for text in ["", "a:1", "redis://:pw@a", "redis://a,rediss://b", "redis://a/1,redis://a/2"] {
            #expect(throws: SettingFault.self) { try RedisSettings.addresses(text) }
        }
        for text in ["", "a b", "{a}", String(repeating: "x", count: 65)] {
            #expect(throws: SettingFault.self) { try RedisSettings.prefix(text) }
        }
        #expect(try RedisSettings.prefix("shop:eu") == "shop:eu")
        var settings = RedisSettings()
        #expect(try settings.makeConfiguration(nodeName: "n") == nil)
        settings.url = "redis://a:1/3"
        settings.mode = .cluster
        #expect(throws: RedisSetupFailure.self) { try settings.makeConfiguration(nodeName: "n") }
        settings.url = "redis://me@a:1"
        let made = try #require(try settings.makeConfiguration(nodeName: "a node"))
        #expect(made.isCluster && made.user == "me" && made.clientName == "martlet-a_node")
    }
}
