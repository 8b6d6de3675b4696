import TestSupport
import Testing
import VectorMath

@testable import Artifacts
@testable import RankingModels

/// Models as the libraries wrote them, and models small enough to work out by hand.
@Suite(.ownThreads) struct TreeEnsembleTests {
    @Test func `the models that the libraries wrote are here`() {
        #expect(TreeFixture.all.count == 9)
    }

    @Test(arguments: TreeFixture.all)
    func `predictions are the library's own`(fixture: TreeFixture) throws {
        let ensemble = try fixture.ensemble()
        let rowCount = fixture.rows.count / ensemble.featureCount
        #expect(rowCount == 40)
        var raw = [Double](repeating: 0, count: rowCount * ensemble.rawOutputsPerRow)
        ensemble.rawScores(rows: fixture.rows, columns: ensemble.featureCount, into: &raw)
        #expect(raw == fixture.raw)
        var predictions = [Double](repeating: 0, count: rowCount * ensemble.outputsPerRow)
        ensemble.predict(rows: fixture.rows, columns: ensemble.featureCount, into: &predictions)
        #expect(predictions.count == fixture.predictions.count)
        #expect(zip(predictions, fixture.predictions).allSatisfy { abs($0 - $1) <= 1e-7 * max(1, abs($1)) })
        var floats = [Float](repeating: 0, count: predictions.count)
        ensemble.predict(rows: fixture.rows, columns: ensemble.featureCount, into: &floats)
        #expect(floats == predictions.map { Float($0) })
    }

    @Test(arguments: TreeFixture.all)
    func `each row alone gets what it gets among others`(fixture: TreeFixture) throws {
        let ensemble = try fixture.ensemble()
        let columns = ensemble.featureCount
        for row in 0..<fixture.rows.count / columns {
            var raw = [Double](repeating: 0, count: ensemble.rawOutputsPerRow)
            ensemble.rawScores(
                rows: Array(fixture.rows[row * columns..<(row + 1) * columns]), columns: columns, into: &raw)
            #expect(raw == Array(fixture.raw[row * raw.count..<(row + 1) * raw.count]))
        }
    }

    /// Two trees. The first: x0 <= 0.5 ? (x1 <= -1 ? 1 : 2) : 4, NaN of x0 goes right, of x1 counts as 0. The second is a
    /// leaf of 0.25.
    static let lightGBM = """
        tree
        version=v4
        num_class=1
        num_tree_per_iteration=1
        label_index=0
        max_feature_idx=1
        objective=regression
        feature_names=price age
        feature_infos=[0:1] [0:1]

        Tree=0
        num_leaves=3
        num_cat=0
        split_feature=0 1
        threshold=0.5 -1
        decision_type=8 2
        left_child=1 -1
        right_child=-3 -2
        leaf_value=1 2 4
        is_linear=0
        shrinkage=1


        Tree=1
        num_leaves=1
        num_cat=0
        leaf_value=0.25
        is_linear=0
        shrinkage=1


        end of trees

        feature_importances:
        price=1

        """

    @Test func `a LightGBM tree is walked as its text says`() throws {
        let ensemble = TreeEnsemble(try read(Array(Self.lightGBM.utf8), lightGBM: true), from: .lightGBM)
        #expect(ensemble.featureNames == ["price", "age"])
        #expect(ensemble.objective == "regression" && ensemble.outputsPerRow == 1)
        #expect(ensemble.treeCount == 2 && ensemble.leafCount == 4)
        let rows: [(Float, Float, Double)] = [
            (0.5, -1, 1.25), (0.5, -0.999, 2.25), (0.50001, -1, 4.25), (.nan, -1, 4.25), (0, .nan, 2.25),
            (-.infinity, -.infinity, 1.25), (.infinity, 0, 4.25),
        ]
        var scores = [Double](repeating: 0, count: rows.count)
        ensemble.rawScores(rows: rows.flatMap { [$0.0, $0.1] }, columns: 2, into: &scores)
        #expect(scores == rows.map(\.2))
    }

    @Test func `a threshold between two Float32 values keeps its side`() throws {
        // 0.1 as a double lies below Float(0.1), which must go right.
        let text = Self.lightGBM.replacing("threshold=0.5 -1", with: "threshold=0.1 -1")
        let ensemble = TreeEnsemble(try read(Array(text.utf8), lightGBM: true), from: .lightGBM)
        var scores = [Double](repeating: 0, count: 2)
        ensemble.rawScores(rows: [0.1, 0, Float(0.1).nextDown, 0], columns: 2, into: &scores)
        #expect(scores == [4.25, 2.25])
    }

    @Test func `the last bit of a word of categories is a category like the others`() throws {
        let text = Self.lightGBM.replacing(
            "num_leaves=3\nnum_cat=0", with: "num_leaves=3\nnum_cat=1\ncat_boundaries=0 2\ncat_threshold=2147483649 3"
        )
        .replacing("threshold=0.5 -1", with: "threshold=0 -1").replacing("decision_type=8 2", with: "decision_type=1 2")
        let ensemble = TreeEnsemble(try read(Array(text.utf8), lightGBM: true), from: .lightGBM)
        // In the set are 0, 31, 32 and 33.
        let categories: [Float] = [0, 1, 30, 31, 32, 33, 34, 63, 64, 65, -1, -0.5, .nan, 1e20]
        let wanted = categories.map { [0, 31, 32, 33, -0.5].contains($0) ? 1.25 : 4.25 }
        for form in TreeForm.allCases {
            var scores = [Double](repeating: 0, count: categories.count)
            ensemble.rawScores(rows: categories.flatMap { [$0, -2] }, columns: 2, form: form, into: &scores)
            #expect(scores == wanted)
        }
    }

    @Test(arguments: [("8", 4.25), ("10", 2.25)])
    func `an infinite threshold tells only missing from there`(decision: String, missing: Double) throws {
        let text = Self.lightGBM.replacing("threshold=0.5 -1", with: "threshold=inf -1")
            .replacing("decision_type=8 2", with: "decision_type=\(decision) 2")
        let ensemble = TreeEnsemble(try read(Array(text.utf8), lightGBM: true), from: .lightGBM)
        for form in TreeForm.allCases {
            var scores = [Double](repeating: 0, count: 3)
            ensemble.rawScores(rows: [.infinity, 0, -.infinity, 0, .nan, 0], columns: 2, form: form, into: &scores)
            #expect(scores == [2.25, 2.25, missing])
        }
    }

    /// x0 < 1.5 ? (x1 in {2, 3} ? 0.5 : -0.5) : 3, missing goes left; the sum begins at 0.5.
    static let xgboost = """
        {"learner":{"feature_names":["price","shop"],"feature_types":["float","c"],"gradient_booster":{"model":{
        "gbtree_model_param":{"num_trees":"1","num_parallel_tree":"1"},"tree_info":[0],"trees":[{
        "categories":[2,3],"categories_nodes":[1],"categories_segments":[0],"categories_sizes":[2],
        "default_left":[1,1,0,0,0],"id":0,"left_children":[1,3,-1,-1,-1],"right_children":[2,4,-1,-1,-1],
        "parents":[2147483647,0,0,1,1],"split_conditions":[1.5,NaN,3,-0.5,0.5],"split_indices":[0,1,0,0,0],
        "split_type":[0,1,0,0,0],"sum_hessian":[1,1,1,1,1],
        "tree_param":{"num_deleted":"0","num_feature":"2","num_nodes":"5","size_leaf_vector":"1"}}]},"name":"gbtree"},
        "learner_model_param":{"base_score":"[5E-1]","num_class":"0","num_feature":"2","num_target":"1"},
        "objective":{"name":"reg:squarederror"}},"version":[3,1,0]}
        """

    @Test func `an XGBoost tree is walked as its JSON says`() throws {
        let ensemble = TreeEnsemble(try read(Array(Self.xgboost.utf8), lightGBM: false), from: .xgboost)
        #expect(ensemble.featureNames == ["price", "shop"] && ensemble.objective == "reg:squarederror")
        let rows: [(Float, Float, Double)] = [
            (1.5, 2, 3.5), (1.4999, 2, 1), (.nan, 3, 1), (0, 4, 0), (0, .nan, 0), (0, -0.5, 0), (0, 3.9, 1),
            (0, 1e9, 0),
        ]
        for form in TreeForm.allCases {
            var scores = [Double](repeating: 0, count: rows.count)
            ensemble.rawScores(rows: rows.flatMap { [$0.0, $0.1] }, columns: 2, form: form, into: &scores)
            #expect(scores == rows.map(\.2))
        }
    }

    @Test func `a base score is a prediction, in texts of old and new versions`() throws {
        for score in ["\"2E-1\"", "\"[2E-1]\"", "0.2", "[0.2]"] {
            let text = Self.xgboost.replacing("\"[5E-1]\"", with: score)
                .replacing("reg:squarederror", with: "binary:logistic")
            let model = try read(Array(text.utf8), lightGBM: false)
            #expect(abs(model.base[0] - -1.3862943) < 1e-6)
        }
    }

    @Test func `a class is what the largest sum says`() throws {
        var model = try read(Array(Self.xgboost.utf8), lightGBM: false)
        model.outputCount = 3
        model.base = [0, 2, 1]
        model.transform = .largest
        let ensemble = TreeEnsemble(model, from: .xgboost)
        #expect(ensemble.outputsPerRow == 1 && ensemble.rawOutputsPerRow == 3)
        var classes = [Float](repeating: 9, count: 2)
        ensemble.predict(rows: [0, 2, 5, 0], columns: 2, into: &classes)
        #expect(classes == [1, 0])
    }

    @Test func `no rows are no predictions`() throws {
        let ensemble = TreeEnsemble(try read(Array(Self.lightGBM.utf8), lightGBM: true), from: .lightGBM)
        var none: [Float] = []
        ensemble.predict(rows: [], columns: 2, into: &none)
        #expect(none.isEmpty)
    }
}
