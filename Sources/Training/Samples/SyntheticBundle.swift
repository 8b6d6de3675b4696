import Artifacts
import Catalog
import Dispatch
import FactorModels
import NearestNeighbors
import Retrieval
import Synchronization
import VectorMath
import Vocabulary

/// A bundle of made-up factors and histories of a given size: what serving costs depends on size and shape alone.
///
/// Users are `u0000001` and up, items `i000001` and up, the first the most popular. Served from ALS factors alone.
package struct SyntheticBundle: Sendable {
    package var users: Int
    package var items: Int
    package var rank: Int
    /// Entries of all histories, about.
    package var interactions: Int
    package var seed: UInt64
    package var threads: Int

    /// The reference catalogue: 1 M users, 100 k items, 64 dimensions, 20 entries per history.
    package init(
        users: Int = 1_000_000, items: Int = 100_000, rank: Int = 64, interactions: Int? = nil, seed: UInt64 = 1,
        threads: Int = 1
    ) {
        self.users = users
        self.items = items
        self.rank = rank
        self.interactions = interactions ?? users * 20
        self.seed = seed
        self.threads = threads
    }

    /// What is wrong with the sizes, or nil.
    package func fault() -> String? {
        if users < 1 || users > 100_000_000 { return "--users is \(users); 1 to 100000000 make sense" }
        if items < 100 || items > 10_000_000 { return "--items is \(items); 100 to 10000000 make sense" }
        if rank < 1 || rank > 1024 { return "--rank is \(rank); 1 to 1024 make sense" }
        if interactions < users { return "--interactions is \(interactions); at least one per user is needed" }
        if interactions / users > items / 4 {
            return "--interactions is \(interactions); \(users) users can have \(users * (items / 4)) at most"
        }
        return nil
    }

    /// Makes it all and publishes it in `writer`.
    ///
    /// - Complexity: memory for the histories (4 bytes per entry) and the factors (4 bytes per number, twice); about
    ///   1 GB for the reference catalogue.
    @discardableResult
    package func write(
        into writer: BundleWriter, name: String = "synthetic", cancellation: Cancellation = Cancellation(),
        onEvent: @escaping @Sendable (TrainingEvent) -> Void = { _ in }
    ) throws -> Manifest {
        precondition(fault() == nil, fault() ?? "")
        do {
            let order = userOrder()
            let counts = try writeCatalog(order, writer, cancellation, onEvent)
            onEvent(
                .finished(
                    step: "histories",
                    summary: "\(counts.interactions.counted("entry", many: "entries")) of \(users.counted("user"))"))
            let model = try factors(order, counts.itemOrder, cancellation)
            try model.write(to: writer)
            onEvent(.finished(step: "factors", summary: "rank \(rank)"))
            try GraphAssembly(
                parameters: HNSWParameters(seed: seed), threads: threads, cancellation: cancellation, onEvent: onEvent
            ).build(model, into: writer)
            try ScanAssembly(threads: threads, cancellation: cancellation, onEvent: onEvent)
                .build(model, into: writer)
            let mix = RetrievalMix(sources: [.init(source: .als, limit: 200, weight: 1)], normalisation: .none)
            return try writer.publish(
                ManifestContent(
                    name: name, version: "seed-\(seed)",
                    counts: .init(users: users, items: items, interactions: counts.interactions),
                    training: ["synthetic": true, "rank": .int(Int64(rank)), "seed": .string(String(seed))],
                    retrieval: try JSONValue(encoding: mix)))
        } catch {
            writer.abandon()
            throw cancellation.isCancelled ? CancellationError() : error
        }
    }

    // MARK: Users and items

    /// User numbers in the order of a bundle: by slot, then by ID, which is by number.
    private func userOrder() -> [UInt32] {
        let slots = (0..<users).map { Slot(user: id("u", $0, users, 7)).value }
        return (0..<UInt32(users)).sorted { a, b in
            let (slotA, slotB) = (slots[Int(a)], slots[Int(b)])
            return slotA == slotB ? a < b : slotA < slotB
        }
    }

    /// Writes users and items; item numbers are given rows by falling popularity.
    private func writeCatalog(
        _ order: [UInt32], _ writer: BundleWriter, _ cancellation: Cancellation,
        _ onEvent: @Sendable (TrainingEvent) -> Void
    ) throws -> (itemOrder: [UInt32], interactions: Int) {
        let source = SyntheticHistories(itemCount: items, mean: max(1, interactions / users), seed: seed)
        var offsets: [UInt64] = [0]
        var histories: [UInt32] = []
        offsets.reserveCapacity(users + 1)
        histories.reserveCapacity(interactions + interactions / 16)
        var counts = [UInt64](repeating: 0, count: items)
        for (n, user) in order.enumerated() {
            for item in source.history(of: Int(user)) {
                histories.append(item)
                counts[Int(item)] += 1
            }
            offsets.append(UInt64(histories.count))
            if n & 0xFFF == 0 {
                try cancellation.check()
                onEvent(.progress(step: "histories", fraction: Double(n) / Double(users), detail: ""))
            }
        }
        let itemOrder = (0..<UInt32(items)).sorted { (counts[Int($1)], $0) < (counts[Int($0)], $1) }
        var rowOfItem = [UInt32](repeating: 0, count: items)
        for (row, item) in itemOrder.enumerated() { rowOfItem[Int(item)] = UInt32(row) }
        for place in histories.indices { histories[place] = rowOfItem[Int(histories[place])] }

        let itemCounts = itemOrder.map { counts[Int($0)] }
        let catalog = try ItemCatalog(
            ids: try IDDictionary((0..<items).lazy.map { id("i", $0, items, 6) }, what: "item ID"),
            interactions: itemCounts, recentScores: itemCounts.map { Float($0) })
        let directory = try UserDirectory(
            ids: try IDDictionary(order.lazy.map { id("u", Int($0), users, 7) }, what: "user ID"),
            offsets: offsets, items: histories, itemCount: items)
        try directory.write(to: writer)
        try catalog.write(to: writer)
        return (itemOrder, histories.count)
    }

    private func factors(
        _ userOrder: [UInt32], _ itemOrder: [UInt32], _ cancellation: Cancellation
    ) throws -> FactorModel {
        let source = SyntheticFactors(rank: rank, seed: seed)
        let itemFactors = DenseMatrix(rowCount: items, columnCount: rank)
        let userFactors = DenseMatrix(rowCount: users, columnCount: rank)
        let block = 4096
        let itemBlocks = (items + block - 1) / block
        let userBlocks = (users + block - 1) / block
        let next = Atomic<Int>(0)
        DispatchQueue.concurrentPerform(iterations: max(1, threads)) { _ in
            while !cancellation.isCancelled {
                let n = next.add(1, ordering: .relaxed).oldValue
                if n < itemBlocks {
                    for row in n * block..<min((n + 1) * block, items) {
                        source.fillItem(Int(itemOrder[row]), into: itemFactors.row(row))
                    }
                } else if n < itemBlocks + userBlocks {
                    for row in (n - itemBlocks) * block..<min((n - itemBlocks + 1) * block, users) {
                        source.fillUser(Int(userOrder[row]), into: userFactors.row(row))
                    }
                } else {
                    return
                }
            }
        }
        try cancellation.check()
        return FactorModel(kind: .als, users: userFactors, items: itemFactors)
    }

    /// `u0000001` for number 0: at least `width` digits, more when the count has more.
    private func id(_ prefix: String, _ number: Int, _ count: Int, _ width: Int) -> String {
        let digits = String(number + 1)
        let width = max(width, String(count).count)
        return prefix + String(repeating: "0", count: width - digits.count) + digits
    }
}
