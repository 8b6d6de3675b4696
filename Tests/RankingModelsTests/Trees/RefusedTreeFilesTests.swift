import TestSupport
import Testing
import VectorMath

@testable import Artifacts
@testable import RankingModels

/// Files that must not be believed.
@Suite(.ownThreads) struct RefusedTreeFilesTests {
    private func fault(_ text: String, lightGBM: Bool) -> String {
        do throws(ArtifactError) {
            _ = try read(Array(text.utf8), lightGBM: lightGBM)
            return "accepted"
        } catch {
            return error.description
        }
    }

    @Test(arguments: [
        ("tree\n", "wood\n", "does not begin with the line 'tree'"),
        ("objective=regression", "objective=magic", "objective 'magic' is not known"),
        ("objective=regression", "objective=binary sigmoid:x", "'sigmoid:x' is not a positive number"),
        ("feature_names=price age", "feature_names=price", "feature_names has 1 names; max_feature_idx says 2"),
        ("is_linear=0", "is_linear=1", "tree 0, is_linear: linear trees are not evaluated"),
        ("num_leaves=3", "num_leaves=4", "tree 0, leaf_value: 3 values; 4 are needed"),
        ("split_feature=0 1", "split_feature=0 2", "tree 0, split_feature: '2' is not allowed at place 1"),
        ("threshold=0.5 -1", "threshold=nan -1", "tree 0, threshold: 'nan' is not allowed at place 0"),
        ("leaf_value=1 2 4", "leaf_value=1 inf 4", "tree 0, leaf_value: 'inf' is not allowed at place 1"),
        ("decision_type=8 2", "decision_type=12 2", "node 0 has 12"),
        ("decision_type=8 2", "decision_type=1 2", "num_cat: node 0 tests categories, but it is 0"),
        ("left_child=1 -1", "left_child=0 -1", "node 0 is reached twice"),
        ("left_child=1 -1", "left_child=7 -1", "tree 0, left_child: '7' is not allowed"),
        ("right_child=-3 -2", "right_child=-3 -1", "node 2 is reached twice"),
        ("left_child=1 -1", "left_child=-2 -1", "2 of 3 leaves are reached"),
        ("threshold=0.5 -1\n", "", "tree 0, threshold: the line is missing"),
        ("Tree=1", "Tree=7", "expected 'Tree=1' or 'end of trees'"),
        ("num_cat=0", "num_cat=0\nnum_cat=0", "tree 0, num_cat: it stands there twice"),
        ("num_tree_per_iteration=1", "num_tree_per_iteration=3", "2 trees; num_tree_per_iteration is 3"),
        ("end of trees", "", "tree 1: the line 'feature_importances:' is no 'key=value'"),
    ])
    func `a LightGBM file that is not sound is refused with the place`(old: String, new: String, words: String) {
        let text = TreeEnsembleTests.lightGBM.replacing(old, with: new, maxReplacements: 1)
        let said = fault(text, lightGBM: true)
        #expect(said != "accepted")
        #expect(said.hasPrefix("model: "))
        #expect(said.contains(words), "\(said)")
    }

    @Test(arguments: [
        ("\"learner\"", "\"teacher\"", "there is no 'learner'"),
        ("reg:squarederror", "reg:magic", "learner.objective.name: 'reg:magic' is not known"),
        ("\"name\":\"gbtree\"", "\"name\":\"gblinear\"", "the booster 'gblinear' is not evaluated"),
        ("\"num_trees\":\"1\"", "\"num_trees\":\"2\"", "num_trees: 2, but there are 1 trees"),
        ("\"tree_info\":[0]", "\"tree_info\":[1]", "tree_info: 1.0 at place 0 is out of range"),
        ("[1,3,-1,-1,-1]", "[1,0,-1,-1,-1]", "trees[0].left_children: node 0 is reached twice"),
        ("[1,3,-1,-1,-1]", "[1,9,-1,-1,-1]", "trees[0].left_children: 9.0 at place 1 is out of range"),
        ("[1,3,-1,-1,-1]", "[1,3,-1,-1]", "trees[0].left_children: 4 values; 5 are needed"),
        ("[2,4,-1,-1,-1]", "[2,-1,-1,-1,-1]", "trees[0].right_children: node 1 has a left child only"),
        ("[1.5,NaN,", "[NaN,NaN,", "trees[0].split_conditions: the threshold of node 0 is NaN"),
        ("3,-0.5,0.5]", "3,-0.5,Infinity]", "trees[0].split_conditions: the value of leaf 4 is not finite"),
        ("\"split_indices\":[0", "\"split_indices\":[2", "node 0 asks for feature 2; there are 2"),
        ("\"categories_sizes\":[2]", "\"categories_sizes\":[1,1]", "categories_sizes: 2 values; 1 are needed"),
        ("\"categories_segments\":[0]", "\"categories_segments\":[1]", "segment 0 ends at 3 of 2"),
        ("\"categories\":[2,3]", "\"categories\":[2,3e9]", "categories: 3000000000.0 at place 1 is out of range"),
        ("\"categories_nodes\":[1]", "\"categories_nodes\":[2]", "node 1 tests categories but is not there"),
        ("\"size_leaf_vector\":\"1\"", "\"size_leaf_vector\":\"3\"", "leaves of 3 values are not evaluated"),
        ("\"[5E-1]\"", "\"[5E-1,1]\"", "base_score: 2 scores for 1 outputs"),
        ("\"[5E-1]\"", "\"half\"", "base_score: 'half' is no number"),
        ("[\"price\",\"shop\"]", "[\"price\"]", "feature_names: 1 names for 2 features"),
        ("\"num_nodes\":\"5\"", "\"num_nodes\":\"99999999999\"", "num_nodes: 99999999999 is out of range"),
    ])
    func `an XGBoost file that is not sound is refused with the place`(old: String, new: String, words: String) {
        let text = TreeEnsembleTests.xgboost.replacing(old, with: new)
        #expect(text != TreeEnsembleTests.xgboost)
        let said = fault(text, lightGBM: false)
        #expect(said.hasPrefix("model: ") && said.contains(words), "\(said)")
    }

    @Test func `a base score that is no probability is refused`() {
        let text = TreeEnsembleTests.xgboost.replacing("[5E-1]", with: "[2]")
            .replacing("reg:squarederror", with: "binary:logistic")
        #expect(fault(text, lightGBM: false).contains("2.0 cannot be a prediction of binary:logistic"))
    }

    @Test func `a file that is not there, or something else, is refused by name`() throws {
        let folder = try TemporaryFolder()
        #expect(throws: ArtifactError.self) { try TreeEnsemble(lightGBM: folder.file("none.txt")) }
        try folder.write(Array("binf....".utf8), to: "old.model")
        let error = try #require(throws: ArtifactError.self) { try TreeEnsemble(xgboost: folder.file("old.model")) }
        #expect(error.description.contains("old.model: neither JSON nor UBJSON"))
    }

    @Test(arguments: TreeFixture.all)
    func `a file cut short anywhere is refused`(fixture: TreeFixture) throws {
        let bytes = try fixture.bytes
        let end =
            fixture.isLightGBM
            ? try #require(String(decoding: bytes, as: UTF8.self).range(of: "end of trees")).lowerBound
                .utf16Offset(in: String(decoding: bytes, as: UTF8.self)) : bytes.count - 1
        for length in stride(from: 0, through: end, by: 41) {
            #expect(throws: ArtifactError.self, "\(length) of \(bytes.count) bytes") {
                try read(Array(bytes[..<length]), lightGBM: fixture.isLightGBM)
            }
        }
    }

    @Test(arguments: TreeFixture.all)
    func `a damaged file is refused or stays inside`(fixture: TreeFixture) throws {
        let bytes = try fixture.bytes
        var random = SeededGenerator(seed: 71)
        var refused = 0
        for _ in 0..<400 {
            let bad = random.mutated(bytes)
            do throws(ArtifactError) {
                let model = try read(bad, lightGBM: fixture.isLightGBM)
                let ensemble = TreeEnsemble(model, from: .lightGBM)
                let columns = ensemble.featureCount
                guard columns <= 100, ensemble.rawOutputsPerRow <= 100 else { continue }
                let rows = TreeKernelTwinTests.rows(20, columns, seed: 72)
                for form in TreeForm.allCases {
                    var scores = [Double](repeating: 0, count: 20 * ensemble.rawOutputsPerRow)
                    ensemble.rawScores(rows: rows, columns: columns, form: form, into: &scores)
                }
                var predictions = [Float](repeating: 0, count: 20 * ensemble.outputsPerRow)
                ensemble.predict(rows: rows, columns: columns, into: &predictions)
            } catch {
                refused += 1
                #expect(!error.fault.isEmpty && error.path == "model")
            }
        }
        #expect(refused > 40)
    }

    @Test(arguments: [
        // An array of a billion nothings, of 2^62 bytes, of a negative length, without a type that is known, of texts.
        "[$Z#l\u{3B}\u{7F}\u{7F}\u{7F}", "[$U#L\u{40}\0\0\0\0\0\0\0", "[#l\u{7F}\u{7F}\u{7F}\u{7F}", "[$q#i\u{1}",
        "[$S#i\u{2}",
        "{i\u{1}a", "{#i\u{5}i\u{1}aT", "{S", "[", "[[[[", "[$U", "d\0\0", "{i\u{1}aTi\u{1}aT}", "q", "",
    ])
    func `a UBJSON document that lies about its sizes is refused`(text: String) {
        var reader = UBJSONReader(Array(text.utf8))
        #expect(throws: UBJSONReader.Fault.self) { try reader.document() }
    }

    @Test func `UBJSON deeper than the limit is refused`() {
        var reader = UBJSONReader([UInt8](repeating: UInt8(ascii: "["), count: 100_000))
        #expect(throws: UBJSONReader.Fault.self) { try reader.document() }
    }

    @Test func `numbers of all UBJSON types are read`() throws {
        let bytes: [UInt8] =
            Array("[i".utf8) + [0xFF] + Array("U".utf8) + [0xFF] + Array("I".utf8) + [0xFF, 0xFE] + Array("l".utf8)
            + [0, 0, 1, 0] + Array("L".utf8) + [0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFD] + Array("d".utf8)
            + [0x3F, 0xC0, 0, 0] + Array("D".utf8) + [0xBF, 0xE0, 0, 0, 0, 0, 0, 0] + Array("TN]".utf8)
        var reader = UBJSONReader(bytes)
        guard case .numbers(let numbers) = try reader.document() else {
            Issue.record("no list of numbers")
            return
        }
        #expect(numbers == [-1, 255, -2, 256, -3, 1.5, -0.5, 1])
    }
}
