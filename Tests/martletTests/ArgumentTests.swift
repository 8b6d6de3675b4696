import ArgumentParser
import Foundation
import MartletClient
import TestSupport
import Testing

@testable import martlet

@Suite("Arguments of martlet", .ownThreads)
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

    @Test("--where reads as it is written")
    func conditions() throws {
        for (text, condition) in [
            ("brand=acme", AttributeCondition("brand", anyOf: ["acme"])),
            (" brand = acme | b c ", AttributeCondition("brand", anyOf: ["acme", "b c"])),
            ("brand!=x|y", AttributeCondition("brand", noneOf: ["x", "y"])),
            ("price<=20", AttributeCondition("price", max: 20)),
            ("price >= -1.5e3", AttributeCondition("price", min: -1500)),
            ("price<20", AttributeCondition("price", max: 20.0.nextDown)),
            ("price>0", AttributeCondition("price", min: 0.0.nextUp)),
            ("url=a=b<c", AttributeCondition("url", anyOf: ["a=b<c"])),
            ("a!b=c", AttributeCondition("a!b", anyOf: ["c"])),
        ] {
            #expect(try ConditionArgument(text).condition == condition, "\(text)")
        }
        let arguments = ["similar", "--item", "i", "--where", "year>=2000", "--where", "brand!=x", "--tag", "t"]
        let command = try #require(try Martlet.parseAsRoot(arguments) as? SimilarCommand)
        #expect(
            try command.slate.filter()
                == AttributeFilter(
                    anyTag: ["t"],
                    conditions: [AttributeCondition("year", min: 2000), AttributeCondition("brand", noneOf: ["x"])]))
    }

    @Test("a --where that is none says what it should be")
    func badConditions() {
        for (text, words) in [
            ("price", "--where 'price' is no condition; write NAME=VALUE[|VALUE...]"), ("=x", "no attribute is named"),
            ("price<=cheap", "--where 'price<=cheap': 'cheap' is no number"), ("price>=nan", "'nan' is no number"),
            ("price>=inf", "'inf' is no number"), ("brand=", "a value is empty"), ("brand=a||b", "a value is empty"),
            ("brand=" + String(repeating: "x", count: 256), "--where 'brand': the ID has 256 bytes"),
            ("brand=" + (0...128).map(String.init).joined(separator: "|"), "129 values; at most 128 are allowed"),
        ] {
            #expect(complaint("recommend", "--user", "u", "--where", text)?.contains(words) == true, "\(text)")
        }
        let many = (0...16).flatMap { ["--where", "a\($0)=1"] }
        do {
            _ = try Martlet.parseAsRoot(["recommend", "--user", "u"] + many)
            Issue.record("17 conditions are too many")
        } catch { #expect(Martlet.message(for: error).contains("--where stands 17 times; at most 16")) }
    }

    @Test(
        "a number below its range is answered with the range",
        arguments: [
            (["recommend", "--user", "u", "-k", "-1"], "-k is -1; allowed: 1 to 1000"),
            (["similar", "--item", "i", "-k", "0"], "-k is 0; allowed: 1 to 1000"),
            (["train", "--input", "a", "--output", "b", "-k", "-3"], "-k is -3; allowed: 1 to 1000"),
            (
                ["train", "--input", "a", "--output", "b", "--tune", "--tune-minutes", "-1"],
                "allowed: above 0 to 10000"
            ),
            (["evaluate", "--input", "a", "--share", "-0.5"], "--share is -0.5; allowed: above 0 and below 1"),
            (["sample", "--output", "a", "--users", "-7"], "--users is -7; allowed: 10 to 10000000"),
            (["sample", "--bundle", "--output", "a", "--rank", "-7"], "--rank is -7"),
            (["model", "users", "a", "-n", "-2"], "-n is -2; allowed: 1 or more"),
            (["health", "--timeout", "-2s"], "-2s is no timeout"),
            (["health", "--wait", "10"], "10 is no time to wait"),
            (["health", "--node", "a:99999"], "the port 99999 is too large; ports are 1 to 65535"),
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

    @Test(
        "an option without effect is refused",
        arguments: [
            (["--tune-minutes", "5"], "--tune-minutes has no effect without --tune"),
            (["--factors", ""], "--factors '' names nothing; there are als and spectral"),
            (["--factors", "als,"], "names nothing"), (["--factors", "als,als"], "names 'als' twice"),
            (["--factors", "svd"], "--factors names 'svd'"),
            (["--sources", "content"], "--sources has no effect where nothing is weighed"),
            (["--tune", "--sources", "popular"], "--sources names 'popular'"),
            (["--tune", "--sources", "content,content"], "--sources names 'content' twice"),
            (["--factors", "spectral", "--rank", "8"], "--rank has no effect without als"),
            (["--factors", "spectral", "--iterations", "8"], "--iterations has no effect without als"),
            (["--spectral-rank", "8"], "--spectral-rank has no effect without spectral"),
        ])
    func effect(arguments: [String], words: String) {
        do {
            _ = try Martlet.parseAsRoot(["train", "--input", "a", "--output", "b"] + arguments)
            Issue.record("\(arguments) was taken")
        } catch {
            #expect(Martlet.message(for: error).contains(words), "\(Martlet.message(for: error))")
            #expect(Martlet.exitCode(for: error) == .validationFailure)
        }
    }

    @Test(
        "evaluate --bundle refuses what belongs to a fit or a split by name",
        arguments: [
            ["--rank", "8"], ["--iterations", "3"], ["--regularization", "0.1"], ["--unobserved-weight", "0.1"],
            ["--spectral-rank", "9", "--factors", "als,spectral"], ["--factors", "als"], ["--confidence", "equal"],
            ["--seed", "1"], ["--split", "random"], ["--share", "0.3"],
        ])
    func evaluateBundle(arguments: [String]) {
        let all = ["evaluate", "--bundle", "b", "--test", "t"]
        #expect(throws: Never.self) { try Martlet.parseAsRoot(all + ["--threads", "2"]) }
        #expect(throws: Never.self) { try Martlet.parseAsRoot(["evaluate", "--input", "i"] + arguments) }
        do {
            _ = try Martlet.parseAsRoot(all + arguments)
            Issue.record("\(arguments) was taken")
        } catch {
            #expect(Martlet.message(for: error).contains("\(arguments[0]) has no effect with --bundle"))
        }
    }

    @Test("similar says why it has nothing to explain")
    func explainSimilar() {
        #expect(complaint("similar", "--item", "i", "--explain")?.contains("--explain is for recommend") == true)
    }

    @Test("rank takes items from one place, and says what is wrong with them")
    func rank() throws {
        let command = try #require(
            try Martlet.parseAsRoot(["rank", "u", "a", "b,c", "--context", "hour=21", "--context", "moods=a=b|c"])
                as? RankCommand)
        #expect(command.item == ["a", "b,c"])
        #expect(try command.moment.entries().map { [$0.key, $0.value] } == [["hour", "21"], ["moods", "a=b|c"]])
        #expect(complaint("rank", "u")?.contains("no item is named") == true)
        #expect(complaint("rank", "u", "a", "--items", "f")?.contains("name them in one place") == true)
        #expect(complaint("rank", "u", "a", "--scenario", "s")?.contains("--scenario is for recommend") == true)
        #expect(complaint("rank", "u", "a", "--items", "")?.contains("--items is empty") == true)
        let many = (0..<201).map { "i\($0)" }
        #expect(throws: Never.self) { try Martlet.parseAsRoot(["rank", "u"] + many) }
        do {
            _ = try Martlet.parseAsRoot(["rank", "u", "--explain"] + many)
            Issue.record("201 items were taken with --explain")
        } catch {
            #expect(Martlet.message(for: error).contains("at most 200 are ranked at once with --explain"))
        }
        let folder = try TemporaryFolder()
        let path = folder.file("items")
        try Data("a\n\n b \r\nc".utf8).write(to: URL(fileURLWithPath: path))
        #expect(try RankCommand.lines(of: path) == ["a", "b", "c"])
        for (content, message) in [
            ("\n", "names no item"), ("a\n\(String(repeating: "x", count: 300))", "line 2 of"),
            (String(repeating: "abc\n", count: RankCommand.fileBytesMax / 4 + 1), "ask in several calls"),
        ] {
            try Data(content.utf8).write(to: URL(fileURLWithPath: path))
            #expect { _ = try RankCommand.lines(of: path) } throws: { "\($0)".contains(message) }
        }
        #expect { _ = try RankCommand.lines(of: folder.file("none")) } throws: { "\($0)".contains("cannot be read") }
    }

    @Test("flags of rankers that would change nothing are refused by name")
    func rankerFlags() {
        let train = ["ranker", "train", "--examples", "e", "--ranker"]
        let evaluate = ["ranker", "evaluate", "--ranker", "r", "--test", "t"]
        for (arguments, message) in [
            (train + ["lr", "--hidden", "8"], "--hidden has no effect with lr, which has no layers"),
            (train + ["fm", "--dropout", "0.1"], "--dropout has no effect with fm, which has no layers"),
            (
                train + ["lr", "--embedding-width", "8"],
                "--embedding-width has no effect with lr, which has no embeddings"
            ),
            (
                ["train", "--input", "i", "--output", "o", "--ranker", "fm", "--ranker-hidden", "8"],
                "--ranker-hidden has no effect with fm"
            ),
            (evaluate + ["--categorical", "a"], "--categorical"), (evaluate + ["--min-count", "1"], "--min-count"),
            (evaluate + ["--normalise", "log"], "--normalise"),
        ] {
            do {
                _ = try Martlet.parseAsRoot(arguments)
                Issue.record("\(arguments) was taken")
            } catch {
                #expect(Martlet.message(for: error).contains(message), "\(Martlet.message(for: error))")
            }
        }
        for arguments in [
            train + ["fm", "--embedding-width", "8"], train + ["mlp", "--hidden", "8", "--dropout", "0"],
            evaluate + ["--label", "clicked", "--positive-above", "3", "--example-format", "csv"],
        ] {
            #expect(throws: Never.self) { try Martlet.parseAsRoot(arguments) }
        }
    }

    @Test("--context takes names and values, each name once")
    func context() throws {
        for command in ["recommend --user u", "rank u i"] {
            let words = command.split(separator: " ").map(String.init)
            func complaint(_ more: String...) -> String? {
                do {
                    _ = try Martlet.parseAsRoot(words + more)
                    return nil
                } catch {
                    return Martlet.message(for: error)
                }
            }
            #expect(complaint("--context", "a=", "--context", "b=1") == nil)
            #expect(complaint("--context", "hour")?.contains("such as hour=21, not 'hour'") == true)
            #expect(complaint("--context", "=1")?.contains("takes a name and a value") == true)
            #expect(complaint("--context", "a=1", "--context", "a=2")?.contains("a stands twice") == true)
            #expect(
                complaint("--context", "a=" + String(repeating: "x", count: 1025))?.contains("at most 1024") == true)
        }
    }

    @Test("an explained order names what did most to each score")
    func rankText() {
        var reply = RankReply()
        (reply.places, reply.scores, reply.unknown) = ([1, 0], [0.5, -1], [2])
        reply.features = ["hour", "price", "nothing"]
        reply.values = [3, 0.5, 0, 3, 0.1, 0]
        reply.contributions = [0.25, -0.75, 0, 0.1, 0, 0]
        (reply.model, reply.generation) = ("m@1", 4)
        let text = RankCommand.text(["a", "b", "c"], reply)
        #expect(text.contains("price -0.750, hour +0.250") && !text.contains("nothing"))
        #expect(text.contains("Not known to this model: c.") && text.hasSuffix("m@1, generation 4.\n"))
        let document = RankCommand.Document(user: "u", ["a", "b", "c"], reply)
        #expect(document.items.map(\.item) == ["b", "a"] && document.unknown == ["c"])
        #expect(document.items[1].features?.map(\.contribution) == [0.1, 0, 0])
    }

    @Test("an explained order of trees leaves the bias to JSON, where a missing number is no number")
    func rankTrees() throws {
        var reply = RankReply()
        (reply.places, reply.scores) = ([0], [-0.5])
        reply.features = ["product", "popularity", "(bias)"]
        (reply.values, reply.contributions) = ([.nan, 8, 0], [-0.25, 0.5, -0.75])
        let text = RankCommand.text(["a"], reply)
        #expect(text.contains("popularity +0.500, product -0.250") && !text.contains("bias"))
        let json = try AnswerOutput.json(RankCommand.Document(user: "u", ["a"], reply))
        let read = try #require(try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
        let item = try #require((read["items"] as? [[String: Any]])?.first)
        let shares = try #require(item["features"] as? [[String: Any]])
        #expect(shares.map { $0["value"] as? Double } == [nil, 8, 0])
        #expect(shares.map { $0["contribution"] as? Double } == [-0.25, 0.5, -0.75])
    }

    @Test("a slate that a filter made short says which")
    func shortSlates() throws {
        func hint(_ shown: Int, _ arguments: String...) throws -> String? {
            let all = ["recommend", "--user", "u", "-k", "5"] + arguments
            return AnswerOutput.hint(
                try #require(try Martlet.parseAsRoot(all) as? RecommendCommand).slate, shown: shown)
        }
        #expect(try hint(0) == nil && hint(5, "--tag", "a") == nil)
        #expect(try hint(0, "--where", "price<1")?.hasPrefix("No item that could be shown passes --where:") == true)
        #expect(
            try hint(1, "--where", "price<1", "--not-tag", "x")
                == "Only 1 item of the 5 wanted: no more that could be shown pass --where, --not-tag.")
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

    @Test("a place without a bundle calls for advice that works there")
    func noBundle() throws {
        let folder = try TemporaryFolder()
        func advice(_ name: String) -> String { ServeCommand.advice(noBundleAt: folder.file(name)) }
        #expect(advice("none").contains("no such folder. `martlet train --input FILE --output \(folder.file("none"))`"))
        try folder.makeFolder("empty")
        #expect(advice("empty").contains("is empty. `martlet train --input FILE --output \(folder.file("empty"))`"))
        try folder.write([1], to: "file")
        #expect(advice("file").hasPrefix("it is a file"))
        #expect(ServeCommand.advice(noBundleAt: folder.path).contains("a folder of its own"))
        try folder.makeFolder("films")
        try folder.write([1], to: "films/manifest.json")
        #expect(
            ServeCommand.advice(noBundleAt: folder.path).contains("`martlet serve --bundle \(folder.file("films"))`"))
    }

    @Test("a signal that is ignored from outside, as under nohup, is told apart")
    func ignoredSignal() {
        // No test and no library of this program uses it.
        #expect(!SignalState.isIgnored(SIGWINCH))
        signal(SIGWINCH, SIG_IGN)
        #expect(SignalState.isIgnored(SIGWINCH))
        signal(SIGWINCH, SIG_DFL)
    }

    @Test("waiting ends with the first yes, or with the time")
    func polling() async throws {
        final class Clock { var now = Duration.zero }
        func questions(_ yesAt: Int) async throws -> (Bool, Int, Duration) {
            let clock = Clock()
            var polling = Polling(patience: .seconds(1)) { clock.now }
            polling.sleep = { clock.now += $0 }
            var asked = 0
            let answer = try await polling.run { left in
                asked += 1
                clock.now += min(left, .milliseconds(30))
                return asked == yesAt
            }
            return (answer, asked, clock.now)
        }
        #expect(try await questions(1) == (true, 1, .milliseconds(30)))
        #expect(try await questions(3) == (true, 3, .milliseconds(290)))
        let (answer, asked, time) = try await questions(0)
        #expect(!answer && asked == 8 && time >= .seconds(1) && time < .milliseconds(1100))
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
