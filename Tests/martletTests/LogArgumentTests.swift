import ArgumentParser
import TestSupport
import Testing
import Training

@testable import martlet

@Suite("Arguments of the log's commands", .ownThreads) struct LogArgumentTests {
    @Test(
        "an argument that cannot be meant is refused by name",
        arguments: [
            (["train", "--output", "b"], "give --input FILE, --from-log DIR, or both"),
            (["train", "--input", "a", "--output", "b", "--since", "1d"], "--since has no effect without --from-log"),
            (
                ["train", "--input", "a", "--output", "b", "--event-weights", "click=1"],
                "--event-weights has no effect"
            ),
            (
                ["train", "--from-log", "a", "--output", "b", "--event-weights", "click"],
                "'click' is no weight: write TYPE=NUMBER"
            ),
            (["train", "--from-log", "a", "--output", "b", "--since", "yesterday"], "--since 'yesterday' is no time"),
            (
                ["train", "--from-log", "a", "--output", "b", "--since", "1d", "--until", "2d"],
                "--since is not before --until"
            ),
            (
                ["train", "--from-log", "a", "--output", "b", "--impression-window", "1h"],
                "--impression-window has no effect"
            ),
            (
                ["train", "--from-log", "a", "--output", "b", "--ranker", "lr", "--impression-window", "soon"],
                "--impression-window 'soon' is no duration"
            ),
            (["evaluate", "--bundle", "b"], "--from-log"),
            (["evaluate", "--bundle", "b", "--test", "t", "--from-log", "l"], "give one of --test and --from-log"),
            (["evaluate", "--input", "i", "--against", "c"], "--against has no effect without --bundle"),
            (
                ["evaluate", "--bundle", "b", "--test", "t", "--margin", "0.1"],
                "--margin has no effect without --against"
            ),
            (
                ["evaluate", "--bundle", "b", "--test", "t", "--against", "c", "--margin", "-1"],
                "--margin is -1.0; allowed: 0.0 to 1.0"
            ),
            (["ingest", ""], "the file is empty; name a file"), (["ingest", "f", "--limit", "0"], "--limit is 0"),
            (["ingest", "f", "--batch", "1001"], "--batch is 1001; allowed: 1 to 1000"),
            (["ingest", "f", "--retry-for", "a while"], "a while is no time to retry for"),
            (["ingest", "f", "--type", ""], "--type: the ID is empty"),
            (["log", "export", "d", "--until", "20261121"], "--until '20261121' is no time"),
            (["models", "--serving", "--json"], "--serving has no effect with --json"),
        ])
    func refused(arguments: [String], words: String) {
        do {
            _ = try Martlet.parseAsRoot(arguments)
            Issue.record("\(arguments) was taken")
        } catch {
            #expect(Martlet.message(for: error).contains(words), "\(Martlet.message(for: error))")
            #expect(Martlet.exitCode(for: error) == .validationFailure)
        }
    }

    @Test("the format of an export follows its name")
    func formats() {
        #expect(LogExportCommand.format(of: "a.jsonl") == .jsonl && LogExportCommand.format(of: "a.ndjson") == .jsonl)
        #expect(LogExportCommand.format(of: "a.tsv") == .tsv && LogExportCommand.format(of: "-") == .csv)
    }

    @Test("a bundle passes while it is not worse by more than the margin")
    func verdicts() {
        func passes(_ new: Double, _ old: Double, _ margin: Double) -> Bool {
            Verdict(metric: "ndcg@20", margin: margin, new: new, old: old, users: 50).passes
        }
        #expect(passes(0.2, 0.2, 0) && passes(0.3, 0.2, 0) && passes(0, 0, 0) && passes(0.196, 0.2, 0.0201))
        #expect(!passes(0.195, 0.2, 0.02) && !passes(0.1999, 0.2, 0))
        #expect(passes(0, 0.5, 1))
    }
}
