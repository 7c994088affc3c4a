//! Minimizing a smooth convex function of many numbers (Nocedal and Wright, Numerical Optimization, 2006, algorithm 7.5).

use std::collections::VecDeque;

/// Steps whose curvature is remembered.
const MEMORY: usize = 10;

/// Share of the expected decrease that a step must give.
const DECREASE: f64 = 1e-4;

/// Times that a step is halved before the function counts as flat here, to the precision that it is computed in.
const HALVINGS: usize = 30;

/// A step, the change of the gradient along it, and one over the product of both.
struct Pair {
    step: Vec<f64>,
    change: Vec<f64>,
    inverse: f64,
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// `to + factor * x`
fn add(to: &mut [f64], factor: f64, x: &[f64]) {
    to.iter_mut().zip(x).for_each(|(to, x)| *to += factor * x);
}

/// Moves `x` to where no element of the gradient is larger than `tolerance`, in at most `steps` steps; whether it got
/// there. `function` writes its gradient, as long as `x`, and returns its value.
pub(super) fn minimize(
    x: &mut Vec<f64>,
    tolerance: f64,
    steps: usize,
    mut function: impl FnMut(&[f64], &mut [f64]) -> f64,
) -> bool {
    let mut gradient = vec![0.0; x.len()];
    let mut value = function(x, &mut gradient);
    let mut memory: VecDeque<Pair> = VecDeque::with_capacity(MEMORY);
    let (mut next, mut next_gradient) = (x.clone(), gradient.clone());
    for _ in 0..steps {
        if gradient.iter().all(|slope| slope.abs() <= tolerance) {
            return true;
        }
        let direction = direction(&gradient, &memory);
        let slope = dot(&direction, &gradient);
        let mut length = match memory.is_empty() {
            true => 1.0 / dot(&gradient, &gradient).sqrt(),
            false => 1.0,
        };
        let mut halvings = 0;
        let next_value = loop {
            next.copy_from_slice(x);
            add(&mut next, length, &direction);
            let found = function(&next, &mut next_gradient);
            if found <= value + DECREASE * length * slope {
                break found;
            }
            halvings += 1;
            if halvings > HALVINGS {
                return false;
            }
            length *= 0.5;
        };
        let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect();
        let step: Vec<f64> = difference(&next, x);
        let change: Vec<f64> = difference(&next_gradient, &gradient);
        let curvature = dot(&step, &change);
        if curvature > 1e-12 * dot(&change, &change) {
            if memory.len() == MEMORY {
                memory.pop_front();
            }
            memory.push_back(Pair {
                step,
                change,
                inverse: 1.0 / curvature,
            });
        }
        std::mem::swap(x, &mut next);
        std::mem::swap(&mut gradient, &mut next_gradient);
        value = next_value;
    }
    false
}

/// Against the gradient, by the remembered curvature: the two loops of algorithm 7.4.
fn direction(gradient: &[f64], memory: &VecDeque<Pair>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|slope| -slope).collect();
    let mut factors = Vec::with_capacity(memory.len());
    for pair in memory.iter().rev() {
        let factor = pair.inverse * dot(&pair.step, &direction);
        add(&mut direction, -factor, &pair.change);
        factors.push(factor);
    }
    if let Some(last) = memory.back() {
        let scale = 1.0 / (last.inverse * dot(&last.change, &last.change));
        direction.iter_mut().for_each(|x| *x *= scale);
    }
    for (pair, factor) in memory.iter().zip(factors.iter().rev()) {
        let own = pair.inverse * dot(&pair.change, &direction);
        add(&mut direction, factor - own, &pair.step);
    }
    direction
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_narrow_valley_is_followed_to_its_lowest_point() {
        // Curvatures from 1 to 100, the lowest point at 1, 2, 3, ...
        let mut x = vec![0.0; 40];
        let mut calls = 0;
        let found = minimize(&mut x, 1e-8, 500, |x, gradient| {
            calls += 1;
            let mut value = 0.0;
            for (i, (x, slope)) in x.iter().zip(gradient).enumerate() {
                let curvature = 10f64.powf(2.0 * i as f64 / 39.0);
                let distance = x - (i + 1) as f64;
                *slope = curvature * distance;
                value += 0.5 * curvature * distance * distance;
            }
            value
        });
        assert!(found);
        for (i, x) in x.iter().enumerate() {
            assert!((x - (i + 1) as f64).abs() < 1e-7, "{i}: {x}");
        }
        assert!(calls < 200, "{calls}");
    }

    #[test]
    fn it_ends_where_there_is_nothing_to_gain() {
        let mut x = vec![3.0];
        assert!(minimize(&mut x, 0.0, 1, |_, gradient| {
            gradient.fill(0.0);
            1.0
        }));
        assert_eq!(x, [3.0]);
        // A wrong slope promises what no step gives.
        let wrong = |x: &[f64], gradient: &mut [f64]| {
            gradient.fill(-1.0);
            x[0]
        };
        assert!(!minimize(&mut x, 1e-9, 100, wrong));
        assert_eq!(x, [3.0]);
    }
}
