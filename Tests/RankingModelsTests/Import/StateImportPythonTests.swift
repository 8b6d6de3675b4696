import Features
import TestSupport
import Testing

@testable import Artifacts
@testable import RankingModels

/// A state dictionary that numpy writes, as PyTorch would, against numpy's own arithmetic.
///
/// PyTorch itself is too large for this; docs/examples/deepfm_pytorch.py trains with it and compares.
@Suite(.ownThreads) struct StateImportPythonTests {
    private static let program = """
        import sys, json, numpy
        from safetensors.numpy import save_file
        folder = sys.argv[1]
        random = numpy.random.default_rng(3)
        tables, numbers, width, hidden = [11, 6, 30], 4, 5, [16, 8]
        def normal(*shape): return random.standard_normal(shape).astype("f4") * numpy.float32(.5)
        state = {f"embeddings.{n}.weight": normal(rows, width) for n, rows in enumerate(tables)}
        state |= {f"linear.{n}.weight": normal(rows, 1) for n, rows in enumerate(tables)}
        state |= {"dense_linear.weight": normal(1, numbers), "dense_linear.bias": normal(1)}
        inputs, at = len(tables) * width + numbers, 0
        for outputs in hidden + [1]:
            state |= {f"mlp.{at}.weight": normal(outputs, inputs), f"mlp.{at}.bias": normal(outputs)}
            if outputs > 1:
                state |= {f"mlp.{at + 1}.weight": normal(outputs), f"mlp.{at + 1}.bias": normal(outputs),
                    f"mlp.{at + 1}.running_mean": normal(outputs), f"mlp.{at + 1}.running_var": abs(normal(outputs)) + 1,
                    f"mlp.{at + 1}.num_batches_tracked": numpy.array(7)}
            inputs, at = outputs, at + 4
        fields = [{"name": f"c{n}", "from": f"column:c{n}", "categorical": {"hashed": rows - 1}} for n, rows in enumerate(tables)]
        fields += [{"name": f"d{n}", "from": f"column:d{n}", "dense": "none", "missing": 0} for n in range(numbers)]
        json.dump({"format": "martlet-features", "version": 1, "fields": fields}, open(f"{folder}/schema.json", "w"))
        count = 2000
        ids = numpy.stack([random.integers(0, rows, count) for rows in tables], 1)
        dense = normal(count, numbers)
        wide = {name: value.astype("f8") for name, value in state.items()}
        e = numpy.stack([wide[f"embeddings.{n}.weight"][ids[:, n]] for n in range(len(tables))], 1)
        score = sum(wide[f"linear.{n}.weight"][ids[:, n]] for n in range(len(tables)))[:, 0]
        score += (dense @ wide["dense_linear.weight"].T + wide["dense_linear.bias"])[:, 0]
        score += .5 * (e.sum(1) ** 2 - (e ** 2).sum(1)).sum(1)
        x = numpy.concatenate([e.reshape(count, -1), dense], 1)
        for at in range(0, 4 * len(hidden), 4):
            x = x @ wide[f"mlp.{at}.weight"].T + wide[f"mlp.{at}.bias"]
            x = (x - wide[f"mlp.{at + 1}.running_mean"]) / numpy.sqrt(wide[f"mlp.{at + 1}.running_var"] + 1e-5)
            x = numpy.maximum(x * wide[f"mlp.{at + 1}.weight"] + wide[f"mlp.{at + 1}.bias"], 0)
        at += 4
        score += (x @ wide[f"mlp.{at}.weight"].T + wide[f"mlp.{at}.bias"])[:, 0]
        save_file(state, f"{folder}/model.safetensors")
        ids.astype("u4").tofile(f"{folder}/ids")
        dense.tofile(f"{folder}/dense")
        score.astype("f4").tofile(f"{folder}/scores")
        """

    private func words(_ bytes: [UInt8]) -> [UInt32] {
        stride(from: 0, to: bytes.count, by: 4).map { at in
            (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) }
        }
    }

    @Test(
        .enabled(if: PythonEnvironment.safetensors.mayRun, Comment(rawValue: PythonEnvironment.safetensors.commentText))
    )
    func `a state dictionary from Python scores as Python does`() throws {
        let folder = try TemporaryFolder()
        let done = try PythonEnvironment.safetensors.run(Self.program, [folder.path])
        try #require(done.status == 0, "\(done.output)")
        let schema = try ImportFiles.schema(folder.file("schema.json"))
        let ranker = try StateImport.ranker(
            folder.file("model.safetensors"), schema: schema, StateImportOptions(.deepfm))
        // As a ranker's file and back.
        try ranker.write(to: TensorFileWriter(path: folder.file("ranker.safetensors"), metadata: ranker.metadata))
        #expect(try NetworkRanker(TensorFile(path: folder.file("ranker.safetensors"))) == ranker)
        let layout = FeatureLayout(schema)
        let ids = words(try folder.read("ids"))
        let dense = words(try folder.read("dense")).map { Float(bitPattern: $0) }
        let expected = words(try folder.read("scores")).map { Float(bitPattern: $0) }
        let rows = FeatureRows(layout)
        for place in expected.indices {
            let row = rows.append()
            for (number, field) in layout.categorical.enumerated() {
                rows.set(row, categorical: number, to: UInt32(field.tableOffset) + ids[place * 3 + number])
            }
            for number in 0..<4 { rows.set(row, dense: number, to: dense[place * 4 + number]) }
        }
        let found = scores(ranker.weights, layout, rows)
        #expect(expected.count == 2000)
        #expect(zip(found, expected).allSatisfy { abs($0 - $1) <= 1e-5 * max(1, abs($1)) })
    }
}
