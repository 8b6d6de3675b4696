import Artifacts
import FactorModels
import NearestNeighbors
import Retrieval
import TestSupport
import Testing
import VectorMath

@testable import Training

/// A trained bundle's own users, folded in from their histories.
@Suite(.ownThreads) struct BundleFoldInTests {
    @Test(arguments: [RowPrecision.f32, .f16])
    func `a bundle's users come back from their histories`(precision: RowPrecision) throws {
        let sample = try TrainedSample()
        let bundle = try Bundle(opening: sample.bundlePath)
        var options = RetrievalModel.Options(index: .scan, itemRows: precision)
        #expect(try RetrievalModel(bundle: bundle, options: options).foldIn == nil)
        options.foldsIn = true
        let model = try RetrievalModel(bundle: bundle, options: options)
        let foldIn = try #require(model.foldIn)
        #expect(model.foldInOrigin == .factors)
        let factors = try #require(model.als).model
        var own = [Float](repeating: 0, count: factors.rank)
        var sum = 0.0
        for user in 0..<UInt32(model.users.count) {
            own.withUnsafeMutableBufferPointer { factors.userFactor(user, into: $0) }
            let folded = try foldIn.factor(rows: Array(model.users.history(of: user)))
            func dot(_ a: [Float], _ b: [Float]) -> Double { zip(a, b).reduce(0) { $0 + Double($1.0) * Double($1.1) } }
            let cosine = dot(own, folded) / (dot(own, own) * dot(folded, folded)).squareRoot()
            #expect(cosine > 0.9, "user \(user)")
            sum += cosine
        }
        // The fit's users are of the half step before the items' last.
        let mean = sum / Double(model.users.count)
        print("mean cosine of folded-in users and the bundle's:", mean)
        #expect(mean > 0.98, "\(mean)")
    }
}
