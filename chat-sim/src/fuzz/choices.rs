//! Bytes that decide what happens.

/// Bytes that decide; zeros once there are no more.
pub(super) struct Choices<'a>(&'a [u8]);

impl<'a> Choices<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// Whether there are no more.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> u8 {
        let Some((first, rest)) = self.0.split_first() else { return 0 };
        self.0 = rest;
        *first
    }

    /// True once in so many times.
    pub(super) fn once_in(&mut self, times: u8) -> bool {
        self.byte().is_multiple_of(times)
    }

    pub(super) fn word(&mut self) -> u16 {
        u16::from_be_bytes([self.byte(), self.byte()])
    }

    pub(super) fn long(&mut self) -> u64 {
        (0..8).fold(0, |value, _| value << 8 | u64::from(self.byte()))
    }

    pub(super) fn bytes<const N: usize>(&mut self) -> [u8; N] {
        std::array::from_fn(|_| self.byte())
    }

    pub(super) fn text(&mut self) -> String {
        match self.byte() {
            255 => "x".repeat(200_000),
            254 => "x".repeat(2_000),
            len => {
                let bytes: Vec<u8> = (0..len % 24).map(|_| self.byte()).collect();
                String::from_utf8_lossy(&bytes).into_owned()
            }
        }
    }

    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> Option<T> {
        let at = usize::from(self.word());
        from.get(at.checked_rem(from.len())?).cloned()
    }
}
