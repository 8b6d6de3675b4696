#if canImport(Glibc)
    import Glibc
#else
    import Darwin
#endif

/// How much invented data to make.
package struct SampleConfiguration: Sendable, Equatable {
    package var users: Int
    package var items: Int
    /// About how many ratings; users with few items left to rate give fewer.
    package var interactions: Int
    package var seed: UInt64

    package init(users: Int = 2_000, items: Int = 800, interactions: Int = 80_000, seed: UInt64 = 1) {
        self.users = users
        self.items = items
        self.interactions = interactions
        self.seed = seed
    }

    /// What is wrong with the sizes, or nil.
    package func fault() -> String? {
        if users < 10 || users > 10_000_000 { return "--users is \(users); 10 to 10000000 make sense" }
        if items < 24 || items > 1_000_000 { return "--items is \(items); 24 to 1000000 make sense" }
        if interactions < users * 2 {
            return "--interactions is \(interactions); at least two per user (\(users * 2)) are needed"
        }
        if interactions > users * (items / 4) {
            return
                "--interactions is \(interactions); \(users) users and \(items) items give at most \(users * (items / 4))"
        }
        return nil
    }
}

/// Invented films and people with tastes, for a demonstration: something to recommend that makes sense to look at.
///
/// A film has one to three genres, a style within its first genre, a release date and an appeal (power law). A person likes a
/// few genres and one style in each; what they watch next is drawn from there, mostly by appeal, newly released films
/// more than old ones. The ratings follow the fit between taste and film. The same configuration gives the same data.
package struct SampleData: Sendable {
    package struct Item: Sendable, Equatable {
        package let id: String
        package let title: String
        package let genres: [Int]
        package let language: String
        let style: Int
        let appeal: Double
        /// Seconds since 1970.
        let released: Int64
        /// Of the release.
        package var year: Int { 1970 + Int(Double(released) / 31_556_952) }
    }

    package struct Rating: Sendable, Equatable {
        package let item: Int
        package let stars: Double
        /// Seconds since 1970.
        package let time: Int64
    }

    package let configuration: SampleConfiguration
    package let items: [Item]
    private let shelves: [Shelf]
    private let everything: Shelf

    static let styleCount = 3
    /// 2024-01-01 and 2026-01-01, UTC: when the ratings are given.
    static let start: Int64 = 1_704_067_200
    static let end: Int64 = 1_767_225_600

    /// - Precondition: `configuration.fault()` is nil.
    package init(_ configuration: SampleConfiguration) {
        if let fault = configuration.fault() { preconditionFailure(fault) }
        self.configuration = configuration
        var random = SplitMix64(seed: configuration.seed)
        var titles = SampleTitles()
        let width = String(configuration.items).count
        items = (0..<configuration.items).map { n in
            let genre = n < SampleTitles.genres.count ? n : Int(random.next() % UInt64(SampleTitles.genres.count))
            var genres = [genre]
            for _ in 0..<Int(random.next() % 3) {
                let other = Int(random.next() % UInt64(SampleTitles.genres.count))
                if !genres.contains(other) { genres.append(other) }
            }
            // One in ten comes out while the ratings are given, the others over the forty years before.
            let isNew = random.unit() < 0.1
            let released =
                isNew
                ? SampleData.start + Int64(random.unit() * Double(SampleData.end - SampleData.start) * 0.95)
                : SampleData.start - Int64(random.unit() * random.unit() * 40 * 31_556_952)
            let year = 1970 + Int(Double(released) / 31_556_952)
            // By a stream of its own: it takes no part in what people like.
            var languages = SplitMix64(seed: configuration.seed &+ UInt64(n) &* 0x9E37_79B9_7F4A_7C15)
            return Item(
                id: "m" + SampleData.padded(n + 1, width), title: titles.next(genre: genre, year: year, &random),
                genres: genres, language: SampleTitles.language(&languages),
                style: Int(random.next() % UInt64(SampleData.styleCount)),
                appeal: pow(1 - random.unit(), -0.6), released: released)
        }
        let items = items
        shelves = (0..<SampleTitles.genres.count * SampleData.styleCount).map { shelf in
            let (genre, style) = (shelf / SampleData.styleCount, shelf % SampleData.styleCount)
            return Shelf(items.indices.filter { items[$0].genres.contains(genre) && items[$0].style == style }, items)
        }
        everything = Shelf(Array(items.indices), items)
    }

    /// The ratings of user `user`, oldest first; each user has a random stream of their own.
    package func ratings(of user: Int) -> [Rating] {
        var random = SplitMix64(
            seed: configuration.seed &* 0x9E37_79B9_7F4A_7C15 &+ UInt64(user) &* 0xD1B5_4A32_D192_ED03)
        let taste = Taste(&random)
        let wanted = ratingCount(&random)
        var seen: Set<Int> = []
        var ratings: [Rating] = []
        let first = SampleData.start + Int64(random.unit() * 0.6 * Double(SampleData.end - SampleData.start))
        for _ in 0..<wanted * 12 where ratings.count < wanted {
            let time = first + Int64(random.unit() * Double(SampleData.end - first))
            guard let item = draw(taste, at: time, &random), seen.insert(item).inserted else { continue }
            ratings.append(Rating(item: item, stars: stars(taste, item, &random), time: time))
        }
        return ratings.sorted { ($0.time, $0.item) < ($1.time, $1.item) }
    }

    /// The ID of user `user`.
    package func userID(_ user: Int) -> String {
        "u" + SampleData.padded(user + 1, String(configuration.users).count)
    }

    /// Writes `ratings.csv` and `movies.csv` into the existing directory `directory`.
    ///
    /// - Returns: How many ratings were written.
    package func write(to directory: String, onProgress: (Double) throws -> Void = { _ in }) throws -> Int {
        let movies = try TextFileWriter(path: "\(directory)/movies.csv")
        try movies.write("movieId,title,genres,language,year\n")
        for item in items {
            let genres = item.genres.map { SampleTitles.genres[$0] }.joined(separator: "|")
            try movies.write("\(item.id),\(csvField(item.title)),\(genres),\(item.language),\(item.year)\n")
        }
        try movies.finish()
        let file = try TextFileWriter(path: "\(directory)/ratings.csv")
        try file.write("userId,movieId,rating,timestamp\n")
        var count = 0
        for user in 0..<configuration.users {
            let id = userID(user)
            for rating in ratings(of: user) {
                try file.write("\(id),\(items[rating.item].id),\(rating.stars),\(rating.time)\n")
                count += 1
            }
            if user % 1000 == 0 { try onProgress(Double(user) / Double(configuration.users)) }
        }
        try file.finish()
        return count
    }

    /// How many ratings a user gives: skewed, a mean of `interactions / users`, at least two.
    private func ratingCount(_ random: inout SplitMix64) -> Int {
        let mean = Double(configuration.interactions) / Double(configuration.users)
        let skewed = -log(1 - random.unit()) * 0.7 + 0.3
        return min(max(2, Int((mean * skewed).rounded())), configuration.items / 3)
    }

    private func draw(_ taste: Taste, at time: Int64, _ random: inout SplitMix64) -> Int? {
        let shelf = random.unit() < 0.88 ? shelves[taste.shelf(&random)] : everything
        guard let item = shelf.draw(&random) else { return nil }
        let age = time - items[item].released
        guard age >= 0 else { return nil }
        let isFresh = age < 60 * 86_400
        return isFresh || random.unit() < 0.4 ? item : nil
    }

    private func stars(_ taste: Taste, _ item: Int, _ random: inout SplitMix64) -> Double {
        let fit = items[item].genres.reduce(0.0) { $0 + taste.weights[$1] }
        let style = taste.style(of: items[item].genres[0]) == items[item].style ? 0.5 : 0
        let noise = random.unit() + random.unit() - 1
        let exact = 2.6 + 2.2 * min(fit, 1) + style + 0.25 * log(items[item].appeal) + noise
        return (min(max(exact, 0.5), 5) * 2).rounded() / 2
    }

    private static func padded(_ number: Int, _ width: Int) -> String {
        let digits = String(number)
        return String(repeating: "0", count: max(0, width - digits.count)) + digits
    }
}

/// What a user likes.
private struct Taste {
    /// One weight per genre, summing to 1: two or three genres carry most.
    let weights: [Double]
    private let styles: [Int]
    private let cumulative: [Double]

    init(_ random: inout SplitMix64) {
        var raw = SampleTitles.genres.map { _ in 0.03 * random.unit() }
        for _ in 0..<2 + Int(random.next() % 2) {
            raw[Int(random.next() % UInt64(raw.count))] += 0.3 + random.unit()
        }
        let total = raw.reduce(0, +)
        weights = raw.map { $0 / total }
        styles = raw.map { _ in Int(random.next() % UInt64(SampleData.styleCount)) }
        var sum = 0.0
        cumulative = weights.map { weight in
            sum += weight
            return sum
        }
    }

    func style(of genre: Int) -> Int { styles[genre] }

    /// A genre by weight, nearly always in the user's style of it.
    func shelf(_ random: inout SplitMix64) -> Int {
        let place = random.unit()
        let genre = cumulative.firstIndex { place < $0 } ?? cumulative.count - 1
        let style = random.unit() < 0.85 ? styles[genre] : Int(random.next() % UInt64(SampleData.styleCount))
        return genre * SampleData.styleCount + style
    }
}

/// Items to draw from, by appeal.
private struct Shelf {
    private let items: [Int]
    private let cumulative: [Double]

    init(_ items: [Int], _ all: [SampleData.Item]) {
        self.items = items
        var sum = 0.0
        cumulative = items.map { item in
            sum += all[item].appeal
            return sum
        }
    }

    func draw(_ random: inout SplitMix64) -> Int? {
        guard let total = cumulative.last else { return nil }
        let wanted = random.unit() * total
        var (low, high) = (0, cumulative.count - 1)
        while low < high {
            let middle = (low + high) / 2
            if cumulative[middle] <= wanted { low = middle + 1 } else { high = middle }
        }
        return items[low]
    }
}
