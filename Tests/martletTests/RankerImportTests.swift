import ArgumentParser
import Foundation
import TestSupport
import Testing

@testable import martlet

@Suite(.ownThreads) struct RankerImportTests {
    private func complaint(_ arguments: String...) -> String? {
        do {
            _ = try Martlet.parseAsRoot(["ranker", "import", "--features", "f", "--output", "o"] + arguments)
            return nil
        } catch {
            return Martlet.message(for: error)
        }
    }

    @Test func `flags that cannot go together say so`() {
        #expect(complaint()?.contains("name a model, with one of --weights, --onnx and --trees") == true)
        #expect(complaint("--weights", "w", "--onnx", "m")?.contains("one of --weights, --onnx and --trees") == true)
        #expect(complaint("--weights", "w")?.contains("say --ranker, one of deepfm, wide-deep, mlp, fm, lr") == true)
        #expect(complaint("--onnx", "m", "--dense-first")?.contains("--dense-first has no effect with --onnx") == true)
        #expect(complaint("--weights", "w", "--ranker", "fm", "--onnx-output", "p")?.contains("--onnx-output") == true)
        #expect(complaint("--weights", "", "--ranker", "fm")?.contains("--weights is empty") == true)
        #expect(
            complaint("--weights", "w", "--ranker", "fm", "--batch-norm-epsilon", "2")?.contains("0.0 to 1.0") == true)
        #expect(complaint("--weights", "w", "--ranker", "fm", "--batch-norm", "after") == nil)
        #expect(complaint("--onnx", "m", "--onnx-output", "probabilities") == nil)
    }

    @Test func `a model comes in, is shown and measured`() throws {
        let folder = try TemporaryFolder()
        let fields = (0..<4).map {
            "{\"name\": \"d\($0)\", \"from\": \"column:d\($0)\", \"dense\": \"none\", \"missing\": 0}"
        }
        let schema =
            "{\"format\": \"martlet-features\", \"version\": 1, \"fields\": [\(fields.joined(separator: ", "))]}"
        try folder.write(Array(schema.utf8), to: "schema.json")
        try folder.write(Array("label,d0,d1,d2,d3\n1,0,1,2,3\n0,-1,5,.5,-20\n".utf8), to: "test.csv")
        let model = Repository.root + "/Tests/RankingModelsTests/Resources/onnx/sklearn_mlp.onnx"
        let (ranker, scores) = (folder.file("ranker.safetensors"), folder.file("scores"))
        func run(_ arguments: String...) throws {
            var command = try Martlet.parseAsRoot(["ranker"] + arguments)
            try command.run()
        }
        let arguments = ["--onnx", model, "--features", folder.file("schema.json"), "--output", ranker]
        try run(
            "import", arguments[0], model, "--features", arguments[3], "--output", ranker, "--test",
            folder.file("test.csv"))
        try run("inspect", ranker)
        try run("inspect", ranker, "--json")
        try run("evaluate", "--ranker", ranker, "--test", folder.file("test.csv"), "--scores", scores)
        let lines = try String(contentsOfFile: scores, encoding: .utf8).split(separator: "\n")
        #expect(lines.count == 2)
        #expect(lines.allSatisfy { Float($0)?.isFinite == true })
        // What is there is not written over.
        #expect(throws: ExitCode.self) {
            try run("import", "--onnx", model, "--features", arguments[3], "--output", ranker)
        }
        #expect(throws: ExitCode.self) { try run("inspect", folder.file("schema.json")) }
    }
}
