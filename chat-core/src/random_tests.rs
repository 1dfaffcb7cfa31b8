use super::*;

#[test]
fn fresh_bytes_and_the_old_key_both_count() {
    let draw = |seed: u8, fresh: u8| {
        let rng = SharedRng::new([seed; 32]);
        rng.refresh(&Entropy::new([fresh; 32]));
        rng.bytes::<32>()
    };
    assert_eq!(draw(1, 2), draw(1, 2), "a run can be replayed");
    assert_ne!(draw(1, 2), draw(1, 3));
    assert_ne!(draw(1, 2), draw(2, 2));
}

#[test]
fn a_key_that_is_left_is_not_that_of_before() {
    let rng = SharedRng::new([1; 32]);
    let before = rng.lock().get_seed();
    rng.forget();
    assert_ne!(rng.lock().get_seed(), before);
}

#[test]
fn numbers_stay_below_their_bound() {
    let rng = SharedRng::new([1; 32]);
    assert!((0..1000).all(|_| rng.below(3) < 3));
    assert_eq!(rng.below(0), 0);
}
