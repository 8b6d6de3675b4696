import ArgumentParser
import MartletClient
import Testing

@testable import martlet

@Suite("Arguments of martlet")
struct ArgumentTests {
    /// What a person reads who gives these arguments; nil where they are taken.
    private func complaint(_ arguments: String...) -> String? {
        do {
            _ = try Martlet.parseAsRoot(arguments)
            return nil
        } catch {
            return Martlet.message(for: error)
        }
    }

    @Test("each --exclude names one item, commas and all")
    func exclusions() throws {
        let arguments = ["recommend", "--user", "u", "--exclude", "a,b", "--exclude", "c"]
        let command = try #require(try Martlet.parseAsRoot(arguments) as? RecommendCommand)
        #expect(command.slate.exclude == ["a,b", "c"])
    }

    @Test(
        "a number below its range is answered with the range",
        arguments: [
            (["recommend", "--user", "u", "-k", "-1"], "-k is -1; allowed: 1 to 1000"),
            (["similar", "--item", "i", "-k", "0"], "-k is 0; allowed: 1 to 1000"),
            (["train", "--input", "a", "--output", "b", "-k", "-3"], "-k is -3; allowed: 1 to 1000"),
            (["train", "--input", "a", "--output", "b", "--tune", "--tune-minutes", "-1"], "allowed: above 0 to 10000"),
            (["evaluate", "--input", "a", "--share", "-0.5"], "--share is -0.5; allowed: above 0 and below 1"),
            (["sample", "--output", "a", "--users", "-7"], "--users is -7; allowed: 10 to 10000000"),
            (["sample", "--bundle", "--output", "a", "--rank", "-7"], "--rank is -7"),
            (["model", "users", "a", "-n", "-2"], "-n is -2; allowed: 1 or more"),
            (["health", "--timeout", "-2s"], "-2s is no timeout"),
        ])
    func numbers(arguments: [String], words: String) {
        #expect(throws: (any Error).self) { try Martlet.parseAsRoot(arguments) }
        do { _ = try Martlet.parseAsRoot(arguments) } catch {
            #expect(Martlet.message(for: error).contains(words), "\(Martlet.message(for: error))")
        }
    }

    @Test("settings of the fit out of their range are named with the range")
    func fit() throws {
        for (arguments, words) in [
            (["--rank", "-1"], "the ALS rank is -1; allowed: 1 to 512"),
            (["--rank", "513"], "the ALS rank is 513; allowed: 1 to 512"),
            (["--threads", "-1"], "--threads is -1; allowed: 1 to 1024"),
        ] {
            let all = ["train", "--input", "a", "--output", "b"] + arguments
            let command = try #require(try Martlet.parseAsRoot(all) as? TrainCommand)
            do {
                _ = try command.training.plan()
                Issue.record("\(arguments) was taken")
            } catch {
                #expect("\(error)".contains(words), "\(error)")
            }
        }
    }

    @Test("an ID that no node takes is refused with the rule")
    func identities() {
        let long = String(repeating: "ü", count: 128)
        #expect(
            complaint("recommend", "--user", long)?.contains("--user: the ID has 256 bytes; an ID has 1 to 255") == true
        )
        #expect(complaint("recommend", "--user", "")?.contains("--user: the ID is empty") == true)
        #expect(complaint("similar", "--item", long)?.contains("--item: the ID has 256 bytes") == true)
        #expect(complaint("similar", "--item", "i", "--exclude", "")?.contains("--exclude: the ID is empty") == true)
        #expect(complaint("recommend", "--user", "u", "--scenario", long)?.contains("--scenario") == true)
        #expect(complaint("recommend", "--user", String(long.dropLast())) == nil)
    }

    @Test("a path without letters is refused with its flag")
    func paths() {
        #expect(complaint("train", "--input", "", "--output", "b")?.contains("--input is empty") == true)
        #expect(complaint("train", "--input", "a", "--output", "")?.contains("--output is empty") == true)
        #expect(
            complaint("train", "--input", "a", "--output", "b", "--valid", "")?.contains("--valid is empty") == true)
        #expect(complaint("evaluate", "--input", "")?.contains("--input is empty") == true)
        #expect(complaint("sample", "--output", "")?.contains("--output is empty") == true)
    }

    @Test("an argument that is not UTF-8 is refused, as its replacement would name another")
    func rawBytes() {
        func fault(_ arguments: [[UInt8]]) -> String? {
            var pointers: [UnsafeMutablePointer<CChar>?] = arguments.map { bytes in
                let copy = UnsafeMutablePointer<CChar>.allocate(capacity: bytes.count + 1)
                for (index, byte) in bytes.enumerated() { copy[index] = CChar(bitPattern: byte) }
                copy[bytes.count] = 0
                return copy
            }
            defer { for pointer in pointers { pointer?.deallocate() } }
            return pointers.withUnsafeMutableBufferPointer { buffer in
                buffer.baseAddress.flatMap { RawArguments.fault(count: buffer.count, $0) }
            }
        }
        #expect(fault([Array("martlet".utf8), Array("--user=ü".utf8)]) == nil)
        #expect(
            fault([Array("martlet".utf8), [0x61, 0xFF, 0x62]])?.hasPrefix("argument 1, 'a\u{FFFD}b', is not UTF-8")
                == true)
    }

    @Test("a lost node and one that cannot be reached call for different advice")
    func advice() {
        let lost = MartletClientError(.unavailable, "closed")
        let absent = MartletClientError(.unavailable, "refused", retryIsSafe: true)
        #expect(NodeArguments.advice(on: lost, node: "a:1")?.contains("ask again") == true)
        #expect(NodeArguments.advice(on: absent, node: "a:1")?.hasPrefix("Is the node running?") == true)
        #expect(NodeArguments.advice(on: MartletClientError(.notFound, "no"), node: "a:1") == nil)
    }
}
