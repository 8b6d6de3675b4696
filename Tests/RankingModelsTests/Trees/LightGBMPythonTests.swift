import TestSupport
import Testing

@testable import Artifacts
@testable import RankingModels

/// Models that the installed LightGBM trains here and now, against its own predictions for tens of thousands of rows.
///
/// XGBoost's package is too large for this; its models are among the fixtures, and Bench/peers/trees.py trains anew.
@Suite(.ownThreads) struct LightGBMPythonTests {
    private static let program = """
        import sys, json, numpy, lightgbm
        folder, variants = sys.argv[1], json.loads(sys.argv[2])
        for name, own in variants.items():
            generator = numpy.random.default_rng(len(name))
            def rows(count):
                values = generator.standard_normal((count, 8)).astype("f4")
                values[generator.random(values.shape) < .1] = 0
                values[generator.random(values.shape) < .1] = numpy.nan
                values[:, 7] = generator.integers(0, 50, count)
                return values
            learned, asked = rows(4000), rows(20000)
            asked[::50, 7] = generator.choice([99, -1, -.5, 3.5, numpy.nan], 400)
            known = numpy.nan_to_num(learned)
            score = known[:, 0] + known[:, 1] * known[:, 2] + (known[:, 7] % 3)
            groups = [40] * 100 if own["objective"] == "lambdarank" else None
            wanted = score if own["objective"] == "regression" else numpy.digitize(score, [0, 1, 2])
            if own["objective"] == "binary": wanted = wanted > 1
            data = lightgbm.Dataset(learned, wanted, group=groups, categorical_feature=[7])
            model = lightgbm.train(dict(dict(verbose=-1, num_threads=1, seed=1, deterministic=True), **own), data, 25)
            model.save_model(f"{folder}/{name}.txt")
            asked.tofile(f"{folder}/{name}.rows")
            model.predict(asked, raw_score=True).tofile(f"{folder}/{name}.raw")
            model.predict(asked).tofile(f"{folder}/{name}.predictions")
            if name != "classes": model.predict(asked[:500], pred_contrib=True).tofile(f"{folder}/{name}.contributions")
        """

    private static let variants = """
        {"binary": {"objective": "binary", "sigmoid": 0.6},
         "rank": {"objective": "lambdarank", "num_leaves": 63},
         "classes": {"objective": "multiclass", "num_class": 4, "num_leaves": 12},
         "zero": {"objective": "regression", "zero_as_missing": true, "num_leaves": 200, "min_data_in_leaf": 2},
         "none": {"objective": "binary", "use_missing": false, "boosting": "dart"}}
        """

    private func doubles(_ bytes: [UInt8]) -> [Double] {
        stride(from: 0, to: bytes.count, by: 8).map { at in
            Double(bitPattern: (0..<8).reduce(0) { $0 | UInt64(bytes[at + $1]) << UInt64(8 * $1) })
        }
    }

    private func floats(_ bytes: [UInt8]) -> [Float] {
        stride(from: 0, to: bytes.count, by: 4).map { at in
            Float(bitPattern: (0..<4).reduce(0) { $0 | UInt32(bytes[at + $1]) << UInt32(8 * $1) })
        }
    }

    /// Shapley values against the library's, the last of a row its bias.
    private func compareContributions(_ name: String, _ rows: [Float], _ folder: TemporaryFolder) throws {
        let model = try LightGBMFile(folder.read("\(name).txt"), path: name).model()
        let attributions = TreeAttributions(model)
        let theirs = doubles(try folder.read("\(name).contributions"))
        #expect(theirs.count == 500 * 9)
        var scratch = TreeAttributions.Scratch()
        for row in 0..<500 {
            var found = [Double](repeating: 0, count: 8)
            for tree in 0..<attributions.treeCount {
                attributions.add(Array(rows[row * 8..<row * 8 + 8]), tree: tree, &scratch, to: &found)
            }
            found.append(attributions.bias)
            let worst = zip(found, theirs[row * 9..<row * 9 + 9]).map { abs($0 - $1) }.max() ?? 1
            #expect(worst < 1e-6, "\(name), row \(row): \(worst)")
            if worst >= 1e-6 { return }
        }
    }

    @Test(.enabled(if: PythonEnvironment.lightgbm.mayRun, Comment(rawValue: PythonEnvironment.lightgbm.commentText)))
    func `predictions are those of the library that is installed`() throws {
        let folder = try TemporaryFolder()
        let done = try PythonEnvironment.lightgbm.run(Self.program, [folder.path, Self.variants])
        try #require(done.status == 0, "\(done.output)")
        for name in ["binary", "rank", "classes", "zero", "none"] {
            let ensemble = try TreeEnsemble(lightGBM: folder.file("\(name).txt"))
            let rows = floats(try folder.read("\(name).rows"))
            var raw = [Double](repeating: 0, count: 20_000 * ensemble.rawOutputsPerRow)
            ensemble.rawScores(rows: rows, columns: 8, into: &raw)
            #expect(raw == doubles(try folder.read("\(name).raw")), "\(name)")
            var predictions = [Double](repeating: 0, count: 20_000 * ensemble.outputsPerRow)
            ensemble.predict(rows: rows, columns: 8, into: &predictions)
            let theirs = doubles(try folder.read("\(name).predictions"))
            #expect(zip(predictions, theirs).allSatisfy { abs($0 - $1) <= 1e-6 }, "\(name)")
            if name != "classes" { try compareContributions(name, rows, folder) }
        }
    }
}
