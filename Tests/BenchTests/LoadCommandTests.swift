import ArgumentParser
import TestSupport
import Testing

@testable import martlet_bench

@Suite(.ownThreads) struct LoadCommandTests {
    @Test(arguments: [
        (["--find-steps", "3"], "--find-steps has no effect without --find-max"),
        (["--find-max", "--find-steps", "0"], "--find-steps is 0; allowed: 1 to 100"),
        (["--find-max", "--rate", "5"], "leave out --rate"),
        (["--find-max", "--requests", "5"], "leave out --requests"),
        (["--find-max", "--closed", "5"], "not --closed"), (["--rate", "5", "--closed", "5"], "exclude each other"),
    ])
    func `Options without effect are refused with a sentence`(arguments: [String], words: String) {
        do {
            _ = try MartletBench.parseAsRoot(["load"] + arguments)
            Issue.record("\(arguments) was taken")
        } catch {
            #expect(MartletBench.message(for: error).contains(words), "\(MartletBench.message(for: error))")
            #expect(MartletBench.exitCode(for: error) == .validationFailure)
        }
    }

    @Test func `A port that cannot be is named`() throws {
        let (host, port) = try LoadCommand.address("[::1]:7400")
        #expect(host == "::1" && port == 7400)
        #expect(throws: (any Error).self) { try LoadCommand.address("127.0.0.1:99999") }
    }
}
