import Artifacts
import CandidateRanking
import EventLog
import Features
import RankingModels
import Vocabulary

/// Judges a ranker by logged slates: what it would have put where chance chose, and how it orders what was logged.
package struct SlateEvaluation {
    package struct Report: Sendable {
        package var k = 20
        package var join = SlateJoinReport()
        /// Slates that the ranker could be asked about.
        package var slates = 0
        package var withoutFeatures = 0
        package var otherSchema = 0
        package var misfits = 0
        /// Slates with an answered item among those that were ranked.
        package var answered = 0
        /// Mean ndcg@k of the answered items, in the order that was served and in the ranker's.
        package var servedNDCG = 0.0
        package var rankedNDCG = 0.0
        package var difference = PairedDifference([])
        /// Nil where nothing was left to chance, or the ranker never agrees with it.
        package var estimate: OffPolicyEstimate?
        package var drawnPlaces = 0
        /// Drawn places whose pool was not logged whole.
        package var unknownPools = 0
        /// Places of the slates at which the ranker, by its own order of all logged items, puts the same item.
        package var samePlaces = 0
        package var places = 0
    }

    private let model: RankerModel
    private let scratch: RankerScratch
    private let schemaHash: String
    private let rows: SlateRows
    private let k: Int
    private var report = Report()
    private var builder: OffPolicyEstimate.Builder
    private var differences: [Double] = []

    /// - Parameter clip: See `OffPolicyEstimate`.
    package init(_ ranker: RankerArtifact, k: Int, clip: Double) {
        let layout = FeatureLayout(ranker.schema)
        model =
            switch ranker {
            case .network(let ranker): .network(Network(ranker.weights, layout: layout))
            case .trees(let ranker): .trees(TreeScorer(ranker))
            }
        scratch = RankerScratch(wholeRowsOf: model)
        schemaHash = ranker.schema.hash
        rows = SlateRows(layout)
        self.k = k
        builder = OffPolicyEstimate.Builder(clip: clip)
        report.k = k
    }

    /// Takes slates in one after the other; open ones, and those without features of the ranker's schema, are passed over.
    package mutating func add(_ joined: JoinedSlate) {
        guard !joined.isOpen else { return }
        guard let features = joined.slate.features, !features.items.isEmpty else {
            report.withoutFeatures += 1
            return
        }
        guard features.schema == schemaHash else {
            report.otherSchema += 1
            return
        }
        guard rows.fits(features) else {
            report.misfits += 1
            return
        }
        report.slates += 1
        let scores = scores(features)
        order(joined, features, scores)
        if !joined.slate.marks.contains(.cached) { drawn(joined, features, scores) }
    }

    package consuming func finish(_ join: SlateJoinReport) -> Report {
        report.join = join
        report.difference = PairedDifference(differences)
        let count = Double(max(report.answered, 1))
        report.servedNDCG /= count
        report.rankedNDCG /= count
        report.estimate = builder.finish()
        return report
    }

    /// Of each row of the features; NaN of none.
    private func scores(_ features: LoggedFeatures) -> [Float] {
        let all = FeatureRows(rows.layout, capacity: features.items.count)
        for row in features.items.indices { rows.append(row, of: features, to: all) }
        return RankerScores.all(model, all, threads: 1)
    }

    /// How high answered items stand among the logged ones.
    private mutating func order(_ joined: JoinedSlate, _ features: LoggedFeatures, _ scores: [Float]) {
        let slate = joined.slate
        let labels: [Float] = features.items.map {
            $0 < slate.shownCount && joined.answers[Int($0)] > 0 ? 1 : 0
        }
        // Shown items stand in the order of the slate, then candidates, which are logged best first.
        let served = features.items.indices.map { -Float($0) }
        let best = scores.indices.sorted { scores[$0] == scores[$1] ? $0 < $1 : scores[$0] > scores[$1] }
        for (place, row) in best.enumerated() where place < slate.shownCount {
            report.places += 1
            if features.items[row] == UInt32(place) { report.samePlaces += 1 }
        }
        guard let before = ListLoss.ndcg(served, labels, k: k), let after = ListLoss.ndcg(scores, labels, k: k) else {
            return
        }
        report.answered += 1
        report.servedNDCG += before
        report.rankedNDCG += after
        differences.append(after - before)
    }

    /// What the ranker would have put where chance chose.
    private mutating func drawn(_ joined: JoinedSlate, _ features: LoggedFeatures, _ scores: [Float]) {
        let slate = joined.slate
        guard slate.drawnAmong > 0 else { return }
        var byItem = [Float?](repeating: nil, count: slate.items.count)
        for (row, item) in features.items.enumerated() { byItem[Int(item)] = scores[row] }
        let ranked = slate.items.indices.filter { slate.places[$0] > 0 }.sorted { slate.places[$0] < slate.places[$1] }
        var open: [(reward: Double, propensity: Double, target: Double)] = []
        for place in 0..<slate.shownCount where slate.propensities[place] < 1 {
            report.drawnPlaces += 1
            // All that were left at this place, as far as chance looked.
            let pool = ranked.filter { item in
                item >= slate.shownCount || (item >= place && !slate.itemMarks[item].contains(.pinned))
            }.prefix(slate.drawnAmong)
            // Every candidate down to the last of the pool must be here.
            guard let last = pool.last,
                ranked.count(where: { slate.places[$0] <= slate.places[last] })
                    == Int(slate.places[last]), pool.contains(place), pool.allSatisfy({ byItem[$0] != nil })
            else {
                report.unknownPools += 1
                continue
            }
            let best = pool.max { a, b in
                let (x, y) = (byItem[a] ?? 0, byItem[b] ?? 0)
                return x == y ? slate.places[a] > slate.places[b] : x < y
            }
            open.append(
                (
                    reward: joined.answers[place] > 0 ? 1 : 0, propensity: Double(slate.propensities[place]),
                    target: best == place ? 1 : 0
                ))
        }
        builder.add(open)
    }
}
