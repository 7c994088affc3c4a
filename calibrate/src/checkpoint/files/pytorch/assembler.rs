//! Writing pickles operation by operation, for tests.

/// A pickle in the making.
pub(super) struct Assembler(pub(super) Vec<u8>);

impl Assembler {
    /// Protocol 2, and nothing else yet.
    pub(super) fn new() -> Self {
        Self(vec![0x80, 2])
    }

    /// Operations as they are.
    #[must_use]
    pub(super) fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    #[must_use]
    pub(super) fn text(self, text: &str) -> Self {
        let length = (text.len() as u32).to_le_bytes();
        self.raw(b"X").raw(&length).raw(text.as_bytes())
    }

    #[must_use]
    pub(super) fn int(self, number: i64) -> Self {
        self.raw(&[0x8a, 8]).raw(&number.to_le_bytes())
    }

    #[must_use]
    pub(super) fn ints(self, numbers: &[i64]) -> Self {
        let start = self.raw(b"(");
        numbers
            .iter()
            .fold(start, |all, &number| all.int(number))
            .raw(b"t")
    }

    #[must_use]
    pub(super) fn global(self, module: &str, name: &str) -> Self {
        self.raw(format!("c{module}\n{name}\n").as_bytes())
    }

    /// The storage `key` of `count` elements.
    #[must_use]
    pub(super) fn storage(self, class: &str, key: &str, count: i64) -> Self {
        let id = self.raw(b"(").text("storage").global("torch", class);
        id.text(key).text("cpu").int(count).raw(b"tQ")
    }

    /// A tensor in a storage of its own kind: (offset, shape, strides).
    #[must_use]
    pub(super) fn tensor(
        self,
        (class, key, count): (&str, &str, i64),
        (offset, shape, strides): (i64, &[i64], &[i64]),
    ) -> Self {
        let call = self.global("torch._utils", "_rebuild_tensor_v2").raw(b"(");
        let call = call
            .storage(class, key, count)
            .int(offset)
            .ints(shape)
            .ints(strides);
        call.raw(&[0x89])
            .global("collections", "OrderedDict")
            .raw(b")RtR")
    }

    #[must_use]
    pub(super) fn stop(self) -> Vec<u8> {
        self.raw(b".").0
    }
}
